from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from balpoe.config.shifts import KNOWN_PRIOR, SHIFTS
from balpoe.evaluation.distributions import (
    DistributionEvaluation,
    distributions,
    evaluate_distributions,
)
from balpoe.evaluation.scoring import evaluate
from balpoe.evaluation.simulated_shifts import simulated_shifts
from balpoe.method.long_tailed_counts import shifted_class_weights
from balpoe.method.priors import class_prior
from tests.scalar_priors import scalar_priors

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
        priors=scalar_priors(class_prior(COUNTS), (1.0, -1.0)),
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
        priors=scalar_priors(class_prior(COUNTS), (0.0, 0.0)),
        class_counts=COUNTS,
    )
    nll = {row.split: row.scalars()[f"{row.split}/nll"] for row in rows}
    for direction in ("forward", "backward"):
        assert nll[f"test_{direction}_50_known_prior"] < nll[f"test_{direction}_50"]


def test_a_balanced_test_set_of_a_balanced_ensemble_has_no_prior_to_learn() -> None:
    labels_n = torch.arange(3).repeat(50)
    rows = evaluate_distributions(
        noisy_logits(labels_n),
        labels_n,
        priors=scalar_priors(class_prior(COUNTS), (1.0, -1.0)),
        class_counts=COUNTS,
    )
    unknown, known = rows[0].scalars(), rows[1].scalars()
    assert unknown["test/accuracy"] == known["test_known_prior/accuracy"]


def test_the_first_row_is_the_plain_evaluation() -> None:
    labels_n = torch.arange(3).repeat(20)
    logits_nec = noisy_logits(labels_n)
    prior_c = class_prior(COUNTS)
    rows = evaluate_distributions(
        logits_nec, labels_n, priors=scalar_priors(prior_c, (1.0, 0.0)), class_counts=COUNTS
    )
    plain = evaluate(
        logits_nec,
        labels_n,
        priors=scalar_priors(prior_c, (1.0, 0.0)),
        class_counts=COUNTS,
        is_final=True,
    )
    assert rows[0].scalars() == plain.scalars("test")


def rows_of(
    images_c: Sequence[int], trained_c: Sequence[int], *, seed: int = 0
) -> dict[str, DistributionEvaluation]:
    """The evaluation of random logits on a test set with these images of each class."""
    labels_n = torch.repeat_interleave(torch.arange(len(images_c)), torch.tensor(images_c))
    generator = torch.Generator().manual_seed(seed)
    rows = evaluate_distributions(
        torch.randn(len(labels_n), 2, len(images_c), generator=generator),
        labels_n,
        priors=scalar_priors(class_prior(trained_c), (1.0, -1.0)),
        class_counts=trained_c,
    )
    return {row.split: row for row in rows}


NATURAL, TRAINED = (30, 12, 5, 1, 1), (120, 48, 21, 7, 2)


def test_shifts_of_a_test_set_with_a_tail_of_its_own_weight_all_its_images() -> None:
    rows = rows_of(NATURAL, TRAINED)
    assert {row.images for row in rows.values()} == {49}
    assert rows["test"].effective_images == 49
    for shift in SHIFTS:
        weights_c = shifted_class_weights(shift, TRAINED)
        weights_n = [w / n for w, n in zip(weights_c, NATURAL, strict=True) for _ in range(n)]
        expected = math.fsum(weights_n) ** 2 / math.fsum(w * w for w in weights_n)
        row = rows[f"test_{shift.name}"]
        assert row.effective_images == pytest.approx(expected)
        assert 1 < row.effective_images < 49


def test_no_two_shifts_of_a_small_tail_are_the_same_images_and_none_is_solved_by_its_prior() -> (
    None
):
    """Cuts gave one image for `backward_2` to `backward_50`, and accuracy 1 by the prior alone."""
    evaluations = [rows_of(NATURAL, TRAINED, seed=seed) for seed in range(24)]
    for shift, known in itertools.product(SHIFTS, ("", KNOWN_PRIOR)):
        found = [rows[f"test_{shift.name}{known}"].evaluation for rows in evaluations]
        scores = [of.ensemble for of in found if of is not None]
        assert len(scores) == 24
        assert statistics.fmean(score.accuracy for score in scores) < 0.95
        assert min(score.ece for score in scores) > 0
        assert max(score.accuracy for score in scores) < 1 or shift.ratio >= 25
    for known in ("", KNOWN_PRIOR):
        scalars = [evaluations[0][f"test_{shift.name}{known}"].scalars() for shift in SHIFTS]
        assert len({tuple(values.values()) for values in scalars}) == len(SHIFTS)


def test_a_weighted_shift_is_what_a_search_simulates_on_validation() -> None:
    labels_n = torch.repeat_interleave(torch.arange(5), torch.tensor(NATURAL))
    logits_nec = torch.randn(49, 2, 5, generator=torch.Generator().manual_seed(0))
    trained = class_prior(TRAINED)
    simulated = simulated_shifts(
        logits_nec, labels_n, priors=scalar_priors(trained, (1.0, -1.0)), class_counts=TRAINED
    )
    for row in evaluate_distributions(
        logits_nec, labels_n, priors=scalar_priors(trained, (1.0, -1.0)), class_counts=TRAINED
    )[2:]:
        assert row.evaluation is not None
        for name in ("accuracy", "ece"):
            value = simulated[f"{row.split.removeprefix('test_')}/{name}"]
            assert row.evaluation.ensemble.values[name] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    ("images_c", "vanished"),
    [((50, 50, 0), True), ((0, 9, 4), True), ((7, 0, 0), True), ((50, 49, 1), False)],
)
def test_no_shift_and_no_known_prior_is_measured_without_a_class(
    images_c: tuple[int, ...], vanished: bool
) -> None:
    rows = rows_of(images_c, COUNTS)
    assert rows["test"].evaluation is not None
    measured = {name for name, row in rows.items() if row.evaluation is not None}
    assert measured == ({"test"} if vanished else set(rows))
    assert rows["test_known_prior"].scalars() == {} if vanished else True


def test_a_cut_that_would_lose_a_class_is_weighted_instead() -> None:
    """Of 40 images of each class a tail of 50 leaves less than one."""
    trained = tuple(200 - 20 * y for y in range(10))
    rows = rows_of((40,) * 10, trained)
    assert rows["test_forward_25"].images < 400
    assert rows["test_forward_25"].effective_images == rows["test_forward_25"].images
    for direction in ("forward", "backward"):
        row = rows[f"test_{direction}_50"]
        assert row.images == 400
        weights = [50 ** (-y / 9) for y in range(10)]
        expected = 40 * sum(weights) ** 2 / sum(w * w for w in weights)
        assert row.effective_images == pytest.approx(expected)


@pytest.mark.parametrize(("classes", "per_class"), [(10, 1000), (100, 100)])
def test_balanced_test_sets_are_cut_as_in_the_papers(classes: int, per_class: int) -> None:
    """The released code shuffles each class by NumPy's legacy generator and takes the first."""
    labels_n = torch.arange(classes).repeat(per_class)
    trained = tuple(range(10 * classes, 0, -10))
    for found in distributions(labels_n, trained):
        assert found.class_weights_c is None
        assert found.effective_images == len(found.indices_b)
        if found.name == "test":
            continue
        direction, ratio = found.name.split("_")
        generator = np.random.RandomState(0)
        chosen: list[int] = []
        for y in range(classes):
            rank = y if direction == "forward" else classes - 1 - y
            order = np.flatnonzero(labels_n.numpy() == y)
            generator.shuffle(order)
            count = per_class * int(ratio) ** (-rank / (classes - 1))
            chosen += order[: int(count + 1e-9)].tolist()
        assert found.indices_b.tolist() == sorted(chosen)
