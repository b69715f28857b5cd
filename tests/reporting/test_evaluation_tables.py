"""Tables of real evaluations of drawn logits."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import pytest
import torch
from rich.console import RenderableType

from balpoe.evaluation.distributions import DistributionEvaluation, evaluate_distributions
from balpoe.method.priors import class_prior
from balpoe.reporting.evaluation_tables import detail_table, evaluation_table
from tests.scalar_priors import scalar_priors

Lines = Callable[[RenderableType], list[str]]
Seeds = list[tuple[DistributionEvaluation, ...]]
LAMBDAS = (1.0, 0.0, -1.0)
SHOWN = ("1", "0", "-1")


def evaluated(
    seed: int, images_c: Sequence[int], trained_c: Sequence[int]
) -> tuple[DistributionEvaluation, ...]:
    """A model that is right about half the time."""
    labels_n = torch.repeat_interleave(torch.arange(len(images_c)), torch.tensor(images_c))
    generator = torch.Generator().manual_seed(seed)
    logits_nec = torch.randn(len(labels_n), 3, len(images_c), generator=generator)
    logits_nec[torch.arange(len(labels_n)), :, labels_n] += 1.5
    return evaluate_distributions(
        logits_nec,
        labels_n,
        priors=scalar_priors(class_prior(trained_c), LAMBDAS),
        class_counts=trained_c,
    )


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    trained = (500, 300, 200, 120, 80, 50, 30, 19, 10, 5)
    return [evaluated(seed, (100,) * 10, trained) for seed in range(3)]


def ensembles(seeds: Sequence[Sequence[DistributionEvaluation]]) -> list[dict[str, float]]:
    """The metrics of each product on the whole test set."""
    found = (seed[0].evaluation for seed in seeds)
    return [dict(of.ensemble.values) for of in found if of is not None]


def _row(shown: Sequence[str], name: str) -> list[str]:
    (row,) = (line for line in shown if line.strip().startswith(f"{name} "))
    return row.strip().removeprefix(name).split()


def test_every_test_set_has_accuracy_and_ece_without_and_with_its_prior(
    seeds: Seeds, lines: Lines
) -> None:
    shown = lines(evaluation_table("runs/models/digits", seeds[:1]))
    assert shown[0] == "runs/models/digits: n = 1 seed"
    shifts = {row.distribution for row in seeds[0]} - {"test"}
    assert len(shifts) == 10
    for shift in shifts:
        unknown, known = (
            next(
                row.evaluation.ensemble
                for row in seeds[0]
                if row.evaluation is not None
                and (row.distribution, row.known_prior) == (shift, known_prior)
            )
            for known_prior in (False, True)
        )
        images, effective, *figures = _row(shown, shift.replace("_", " "))
        assert images == effective == f"{round(unknown.bins.counts.sum().item()):,}"
        values = [
            of.values[name] for of in (unknown, known) for name in ("accuracy", "ece", "ece_floor")
        ]
        assert figures == [f"{100 * value:.1f}" for value in values]
    assert max(map(len, shown)) <= 80


def test_several_seeds_are_mean_and_sd(seeds: Seeds, lines: Lines) -> None:
    shown = lines(evaluation_table("runs/models/digits", seeds))
    accuracies = [100 * of["accuracy"] for of in ensembles(seeds)]
    assert shown[0] == "runs/models/digits: mean ± sd, n = 3 seeds"
    mean, sd = statistics.fmean(accuracies), statistics.stdev(accuracies)
    assert _row(shown, "whole test set")[2] == f"{mean:.1f}±{sd:.1f}"
    assert max(map(len, shown)) <= 80


def test_images_are_weighted_where_the_test_set_is_not_balanced(lines: Lines) -> None:
    seeds = [evaluated(seed, (30, 12, 5, 1, 1), (120, 48, 21, 7, 2)) for seed in range(3)]
    shown = lines(evaluation_table("birds", seeds))
    for row in seeds[0]:
        if not row.known_prior and row.distribution != "test":
            images, effective, *figures = _row(shown, row.distribution.replace("_", " "))
            assert images == "49"
            assert effective == f"{row.effective_images:.0f}" != images
            assert len(figures) == 6
            assert "–" not in figures
    assert max(map(len, shown)) <= 80
    assert "all shifts: the classes of all images are weighted" in shown


def test_the_shifts_of_few_balanced_images_that_are_weighted_are_named(lines: Lines) -> None:
    trained = (500, 300, 200, 120, 80, 50, 30, 19, 10, 5)
    seed = evaluated(0, (40,) * 10, trained)
    weighted = {row.distribution for row in seed if row.is_weighted}
    assert weighted == {"forward_50", "backward_50"}
    shown = lines(evaluation_table("digits", [seed]))
    assert "forward 50, backward 50: the classes of all images are weighted" in shown


def test_a_class_without_test_images_gives_dashes(lines: Lines) -> None:
    seeds = [evaluated(seed, (30, 12, 5, 1, 0), (120, 48, 21, 7, 2)) for seed in range(2)]
    shown = lines(evaluation_table("birds", seeds))
    assert _row(shown, "whole test set")[-3:] == ["–", "–", "–"]
    assert "–" not in _row(shown, "whole test set")[2:5]
    assert _row(shown, "backward 5")[2:] == ["–"] * 6
    assert "–: a class has no test images" in shown


def test_details_have_a_column_for_each_expert_only_on_demand(seeds: Seeds, lines: Lines) -> None:
    without = lines(detail_table(seeds))
    shown = lines(detail_table(seeds, SHOWN))
    assert not any("expert" in line for line in without)
    assert next(line for line in shown if "expert" in line).split() == [
        *("expert", "0", "expert", "1", "expert", "2")
    ]
    assert any(line.split()[-6:] == ["λ", "1", "λ", "0", "λ", "-1"] for line in shown)
    evaluations = [seed[0].evaluation for seed in seeds]
    accuracies = [100 * of.experts[2].accuracy for of in evaluations if of is not None]
    mean, sd = statistics.fmean(accuracies), statistics.stdev(accuracies)
    assert _row(shown, "accuracy %")[-2:] == [f"{mean:.1f}", f"±{sd:.1f}"]


def test_no_figure_is_cut_off_at_80_columns(seeds: Seeds, lines: Lines) -> None:
    shown = lines(detail_table(seeds, SHOWN))
    assert not any("…" in line for line in shown)
    assert len(_row(shown, "MCE %")) == 8
    assert max(map(len, shown)) <= 80


def test_balanced_accuracy_is_shown_where_it_differs(seeds: Seeds, lines: Lines) -> None:
    natural = [
        (DistributionEvaluation("test", row.images, row.images, False, row.evaluation),)
        for seed in seeds
        for row in seed
        if row.distribution == "forward_50" and not row.known_prior
    ]
    shown = lines(detail_table(natural, SHOWN))
    assert not any(
        "balanced " in line and "inputs" not in line for line in lines(detail_table(seeds))
    )
    assert _row(shown, "balanced ECE %")
    values = [100 * of["balanced_accuracy"] for of in ensembles(natural)]
    assert _row(shown, "balanced accuracy %")[0] == f"{statistics.fmean(values):.1f}"
