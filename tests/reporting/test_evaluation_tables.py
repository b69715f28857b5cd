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

Lines = Callable[[RenderableType], list[str]]
Seeds = list[tuple[DistributionEvaluation, ...]]
LAMBDAS = (1.0, 0.0, -1.0)


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    """Three models that are right about half the time."""
    labels_n = torch.arange(10).repeat_interleave(100)
    class_counts = [500, 300, 200, 120, 80, 50, 30, 19, 10, 5]

    def evaluated(seed: int) -> tuple[DistributionEvaluation, ...]:
        logits_nec = torch.randn(1000, 3, 10, generator=torch.Generator().manual_seed(seed))
        logits_nec[torch.arange(1000), :, labels_n] += 1.5
        return evaluate_distributions(
            logits_nec,
            labels_n,
            prior_c=class_prior(class_counts),
            lambdas=LAMBDAS,
            class_counts=class_counts,
        )

    return [evaluated(seed) for seed in range(3)]


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
                if row.distribution == shift and row.known_prior == known_prior
            )
            for known_prior in (False, True)
        )
        images, *figures = _row(shown, shift.replace("_", " "))
        assert images == f"{round(unknown.bins.counts.sum().item()):,}"
        values = (unknown.accuracy, unknown.bins.ece, known.accuracy, known.bins.ece)
        assert figures == [f"{100 * value:.1f}" for value in values]
    assert max(map(len, shown)) <= 80


def test_several_seeds_are_mean_and_sd(seeds: Seeds, lines: Lines) -> None:
    shown = lines(evaluation_table("runs/models/digits", seeds))
    accuracies = [100 * seed[0].evaluation.ensemble.accuracy for seed in seeds]
    assert shown[0] == "runs/models/digits: mean ± sd, n = 3 seeds"
    assert _row(shown, "whole test set")[1:3] == [
        f"{statistics.fmean(accuracies):.1f}",
        f"±{statistics.stdev(accuracies):.1f}",
    ]
    assert max(map(len, shown)) <= 80


def test_details_have_a_row_for_each_expert_only_on_demand(seeds: Seeds, lines: Lines) -> None:
    without = lines(detail_table(seeds))
    shown = lines(detail_table(seeds, LAMBDAS))
    assert not any("expert" in line for line in without)
    assert sum(line.strip().startswith("expert ") for line in shown) == 3
    assert sum(line.strip().startswith("λ ") for line in shown) == 3
    accuracies = [100 * seed[0].evaluation.experts[2].accuracy for seed in seeds]
    assert _row(shown, "expert 2")[0] == f"{statistics.fmean(accuracies):.1f}"
    assert _row(shown, "λ -1")[0] == f"±{statistics.stdev(accuracies):.1f}"


def test_no_figure_is_cut_off_at_80_columns(seeds: Seeds, lines: Lines) -> None:
    shown = lines(detail_table(seeds, LAMBDAS))
    assert not any("…" in line for line in shown)
    assert len(_row(shown, "product")) == 9


def test_balanced_accuracy_is_shown_where_it_differs(seeds: Seeds, lines: Lines) -> None:
    natural = [
        (DistributionEvaluation("test", row.images, False, row.evaluation),)
        for seed in seeds
        for row in seed
        if row.distribution == "forward_50" and not row.known_prior
    ]
    shown = lines(detail_table(natural, LAMBDAS))
    assert not any("bal." in line for line in lines(detail_table(seeds)))
    assert any("acc.  bal." in line for line in shown)
    values = [100 * seed[0].evaluation.ensemble.balanced_accuracy for seed in natural]
    assert _row(shown, "product")[1] == f"{statistics.fmean(values):.1f}"
    assert max(map(len, shown)) <= 80
