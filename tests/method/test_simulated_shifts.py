"""Weighted validation images against images that are really there as often.

N images, E experts, C classes.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from balpoe.config.metrics import shifted_metrics
from balpoe.config.shifts import SHIFTS, Shift
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.simulated_shifts import simulated_shifts
from tests.scalar_priors import scalar_priors

CLASSES, PER_CLASS = 3, 6
PRIOR_C = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
COUNTS = (60, 30, 10)
LAMBDAS = (1.0, 0.0, -0.5)


@pytest.fixture
def logits_nec() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(CLASSES * PER_CLASS, len(LAMBDAS), CLASSES, generator=generator)


@pytest.fixture
def labels_n() -> Tensor:
    return torch.arange(CLASSES).repeat(PER_CLASS)


def scalars(logits_nec: Tensor, labels_n: Tensor) -> dict[str, float]:
    return simulated_shifts(
        logits_nec, labels_n, priors=scalar_priors(PRIOR_C, LAMBDAS), class_counts=COUNTS
    )


@pytest.mark.parametrize(
    ("shift", "copies_c"),
    [(Shift("forward", 25), (25, 5, 1)), (Shift("backward", 25), (1, 5, 25))],
    ids=lambda value: getattr(value, "name", ""),
)
@pytest.mark.parametrize("known_prior", [False, True])
def test_a_weight_counts_as_so_many_copies(
    logits_nec: Tensor,
    labels_n: Tensor,
    shift: Shift,
    copies_c: tuple[int, ...],
    known_prior: bool,
) -> None:
    copies_n = torch.tensor(copies_c)[labels_n]
    there = evaluate(
        logits_nec.repeat_interleave(copies_n, dim=0),
        labels_n.repeat_interleave(copies_n),
        priors=scalar_priors(PRIOR_C, LAMBDAS),
        class_counts=COUNTS,
        test_prior_c=torch.tensor(copies_c) / sum(copies_c) if known_prior else None,
    ).ensemble
    simulated = scalars(logits_nec, labels_n)
    split = f"{shift.name}_known_prior" if known_prior else shift.name
    assert simulated[f"{split}/accuracy"] == pytest.approx(there.accuracy)
    assert simulated[f"{split}/ece"] == pytest.approx(there.bins.ece, abs=1e-7)


def test_every_shift_is_there_and_may_be_an_objective(logits_nec: Tensor, labels_n: Tensor) -> None:
    found = scalars(logits_nec, labels_n)
    assert {name.split("/")[0].removesuffix("_known_prior") for name in found} == {
        shift.name for shift in SHIFTS
    }
    assert {f"val/{name}" for name in found} == set(shifted_metrics())
