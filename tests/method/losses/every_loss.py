"""Every entry of the table of losses with each choice of its settings."""

from __future__ import annotations

import itertools
import typing
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from balpoe.config import Configuration, MixupConfig
from balpoe.config.bounds import hints_of
from balpoe.config.configuration import ReweightingConfig
from balpoe.config.loss import LOSSES, Loss

EXPERTS = {"sade": (3,), "ride": (2, 3)}
"""The numbers of experts that a loss is tried with; 1 and 3 for the others."""

OWN_WEIGHTS = ("class_balanced", "class_balanced_focal")
"""The losses that refuse the section `reweighting`."""


def every_loss() -> Iterator[Loss]:
    """Yield each loss of the product, with its defaults and with every value of its choices."""
    for settings in LOSSES.entries.values():
        if settings.__module__.startswith("balpoe."):
            yield from _variants(settings)


def _variants(settings: type) -> Iterator[Loss]:
    choices = {
        name: typing.get_args(hint)
        for name, hint in hints_of(settings).items()
        if typing.get_origin(hint) is Literal and name != "name"
    }
    for values in itertools.product(*choices.values()):
        chosen: dict[str, Any] = dict(zip(choices, values, strict=True))
        yield settings(**chosen)


def described(loss: Loss) -> str:
    """Return the name of a loss and the values of its choices, for the name of a test."""
    chosen = [
        getattr(loss, name)
        for name, hint in hints_of(type(loss)).items()
        if typing.get_origin(hint) is Literal
    ]
    return " ".join(chosen)


def expert_counts(loss: Loss) -> tuple[int, ...]:
    """Return the numbers of experts that the loss is tried with."""
    return EXPERTS.get(loss.name, (1, 3))


def suited_to(loss: Loss, base: Configuration) -> Configuration:
    """Return a configuration with the loss, with mixing and deferred weights where it has them."""
    beta = 0.0 if loss.name in OWN_WEIGHTS else 0.99
    return replace(
        base,
        loss=loss,
        experts=replace(base.experts, count=expert_counts(loss)[-1]),
        mixup=MixupConfig() if loss.name == "lade" else base.mixup,
        reweighting=ReweightingConfig(beta=beta, start=0.5),
    )
