"""From searched parameters to the configuration of a trial, and what the one implies."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from balpoe.config import Choice, Configuration, StudySpec

Dataclass = TypeVar("Dataclass")

COUNT = "experts.count"
WITH_ONE_EXPERT: Mapping[str, Choice] = {"experts.spread": 0.0, "experts.sharing": "shared"}
"""With one expert these have no effect: they are not suggested, and recorded as this."""


def implied_parameters(spec: StudySpec, suggested: Mapping[str, Choice]) -> dict[str, Choice]:
    """The searched parameters that need no suggestion, given those `suggested` so far."""
    if suggested.get(COUNT, spec.base.experts.count) != 1:
        return {}
    return {name: value for name, value in WITH_ONE_EXPERT.items() if name in spec.search}


def suggestion_order(spec: StudySpec) -> list[str]:
    """The searched parameters in the order to suggest them: the number of experts first."""
    return sorted(spec.search, key=lambda name: name != COUNT)


def configure(base: Configuration, parameters: Mapping[str, Choice]) -> Configuration:
    """`base` with the fields that `parameters` names by dotted path replaced.

    Raises:
        InvalidFields: a value is impossible.
    """
    return _replace(base, parameters)


def training_seed(study_seed: int, repeat: int) -> int:
    """The seed of a training.

    It does not depend on the trial, so that configurations share seeds and can be compared
    in pairs.
    """
    return int(np.random.SeedSequence((study_seed, repeat)).generate_state(1)[0])


def _replace(owner: Dataclass, values: Mapping[str, Any]) -> Dataclass:
    nested: dict[str, dict[str, Any]] = {}
    replaced: dict[str, Any] = {}
    for path, value in values.items():
        field, _, rest = path.partition(".")
        if rest:
            nested.setdefault(field, {})[rest] = value
        else:
            replaced[field] = value
    for field, inner in nested.items():
        replaced[field] = _replace(getattr(owner, field), inner)
    return dataclasses.replace(owner, **replaced)  # type: ignore[type-var]
