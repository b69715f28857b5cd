from __future__ import annotations

import torch

from balpoe.config.shifts import SHIFTS
from balpoe.evaluation.distributions import evaluate_distributions
from balpoe.evaluation.scoring import evaluate
from balpoe.method.priors import class_prior

COUNTS = (200, 60, 10)


def noisy_logits(labels_n: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    truth_n1c = torch.nn.functional.one_hot(labels_n, 3).float().unsqueeze(1)
    return truth_n1c + torch.randn(len(labels_n), 2, 3, generator=generator)


def test_the_whole_test_set_comes_first_then_every_shift_without_and_with_its_prior() -> None:
    labels_n = torch.arange(3).repeat(100)
    rows = evaluate_distributions(
        noisy_logits(labels_n),
        labels_n,
        prior_c=class_prior(COUNTS),
        lambdas=(1.0, -1.0),
        class_counts=COUNTS,
    )
    assert [row.distribution for row in rows[::2]] == ["test", *(shift.name for shift in SHIFTS)]
    assert [row.known_prior for row in rows] == [False, True] * 11
    assert rows[0].images == 300
    forward_50 = next(row for row in rows if row.split == "test_forward_50")
    assert forward_50.images == 100 + 14 + 2


def test_knowing_the_prior_of_a_long_tail_helps() -> None:
    labels_n = torch.arange(3).repeat(1000)
    rows = evaluate_distributions(
        noisy_logits(labels_n),
        labels_n,
        prior_c=class_prior(COUNTS),
        lambdas=(0.0, 0.0),
        class_counts=COUNTS,
    )
    nll = {row.split: row.evaluation.ensemble.nll for row in rows}
    for direction in ("forward", "backward"):
        assert nll[f"test_{direction}_50_known_prior"] < nll[f"test_{direction}_50"]


def test_a_balanced_test_set_of_a_balanced_ensemble_has_no_prior_to_learn() -> None:
    labels_n = torch.arange(3).repeat(50)
    rows = evaluate_distributions(
        noisy_logits(labels_n),
        labels_n,
        prior_c=class_prior(COUNTS),
        lambdas=(1.0, -1.0),
        class_counts=COUNTS,
    )
    assert rows[0].evaluation.ensemble.accuracy == rows[1].evaluation.ensemble.accuracy


def test_the_first_row_is_the_plain_evaluation() -> None:
    labels_n = torch.arange(3).repeat(20)
    logits_nec = noisy_logits(labels_n)
    prior_c = class_prior(COUNTS)
    rows = evaluate_distributions(
        logits_nec, labels_n, prior_c=prior_c, lambdas=(1.0, 0.0), class_counts=COUNTS
    )
    plain = evaluate(logits_nec, labels_n, prior_c=prior_c, lambdas=(1.0, 0.0), class_counts=COUNTS)
    assert rows[0].scalars() == plain.scalars("test")


def test_a_test_set_that_lacks_a_class_is_cut_without_it() -> None:
    labels_n = torch.tensor([0, 1]).repeat(50)
    rows = evaluate_distributions(
        noisy_logits(labels_n),
        labels_n,
        prior_c=class_prior(COUNTS),
        lambdas=(0.0, 0.0),
        class_counts=COUNTS,
    )
    assert {row.distribution for row in rows} == {"test", *(shift.name for shift in SHIFTS)}
    images = {row.distribution: row.images for row in rows}
    assert images["forward_25"] == 50 + 10  # the absent class would have been the tail
    assert images["backward_25"] == 10 + 50
    assert all(0 <= row.evaluation.ensemble.accuracy <= 1 for row in rows)
