"""In which order the parameters of a trial are suggested, and which need no suggestion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from balpoe.config import Choice, StudySpec, canonical_parameters

COUNT = "experts.count"


def suggestion_order(spec: StudySpec) -> list[str]:
    """The searched parameters, the number of experts first: others depend on it."""
    return sorted(spec.search, key=lambda name: name != COUNT)


def implied_parameters(spec: StudySpec, suggested: Mapping[str, Choice]) -> dict[str, Choice]:
    """The searched parameters that follow from those already `suggested`."""
    known = canonical_parameters({COUNT: spec.base.experts.count, **suggested})
    del known[COUNT]
    return {name: known[name] for name in spec.search if name in known.keys() - suggested.keys()}


def training_seed(study_seed: int, repeat: int) -> int:
    """The seed of a training.

    It does not depend on the trial, so that configurations share seeds and can be compared
    in pairs.
    """
    return int(np.random.SeedSequence((study_seed, repeat)).generate_state(1)[0])
