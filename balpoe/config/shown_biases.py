"""The biases λ of experts as text, for tables and model cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from balpoe.config.loss import LOSSES, Loss


def shown_lambdas(
    lambdas: Sequence[float] | None, configuration: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the λ of each expert; `per class` or a dash for experts without a single λ.

    `configuration` is that of the training, as plain data.
    """
    if lambdas is not None:
        return tuple(f"{lam:.3g}" for lam in lambdas)
    experts = configuration["experts"]
    by_class = experts.get("class_lambdas") is not None and _uses_lambdas(configuration)
    texts: tuple[str, ...] = ("per class" if by_class else "–",) * experts["count"]
    return texts


def loss_name(configuration: Mapping[str, Any]) -> str:
    """Return the name of the loss of a training."""
    name: str = configuration.get("loss", {"name": "logit_adjustment"})["name"]
    return name


def _uses_lambdas(configuration: Mapping[str, Any]) -> bool:
    settings: type[Loss] | None = LOSSES.entries.get(loss_name(configuration))
    return settings is not None and settings.uses_lambdas
