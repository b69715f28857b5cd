"""Tables of real post-hoc evaluations of drawn logits."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import pytest
import torch
from rich.console import RenderableType

from balpoe.evaluation.post_hoc import PostHocEvaluation, Scorer, evaluate_post_hoc
from balpoe.evaluation.temperature import Temperatures
from balpoe.method.priors import class_prior
from balpoe.reporting.post_hoc_tables import post_hoc_tables
from balpoe.training.model_directory import OUTSIDE_A_STUDY, Calibration

Lines = Callable[[RenderableType], list[str]]
Seeds = list[tuple[PostHocEvaluation, ...]]
LAMBDAS = (1.0, 0.0, -1.0)
COUNTS = [500, 300, 200, 120, 80, 50, 30, 19, 10, 5]
CARRIED = Calibration(
    Temperatures(1.5, (0.5, 2.0, 4.25)), "carried over from 300 validation images of trial 7 of x"
)
ALL = (0, 1, 2)


def evaluated(seed: int, calibration: Calibration) -> tuple[PostHocEvaluation, ...]:
    labels_n = torch.arange(10).repeat_interleave(60)
    logits_nec = torch.randn(600, 3, 10, generator=torch.Generator().manual_seed(seed))
    logits_nec[torch.arange(600), :, labels_n] += 1.5
    return evaluate_post_hoc(
        logits_nec,
        labels_n,
        prior_c=class_prior(COUNTS),
        lambdas=LAMBDAS,
        class_counts=COUNTS,
        temperatures=calibration.temperatures,
    )


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    return [evaluated(seed, CARRIED) for seed in range(2)]


def shown(lines: Lines, seeds: Sequence[Sequence[PostHocEvaluation]], of: Calibration) -> list[str]:
    return [line for table in post_hoc_tables(seeds, LAMBDAS, of) for line in lines(table)]


def figures(lines: Sequence[str], name: str) -> list[list[str]]:
    """The figures of every row of that name."""
    return [
        line.strip().removeprefix(name).split()
        for line in lines
        if line.strip().startswith(f"{name} ")
    ]


def metric(seeds: Seeds, scorer: Scorer, prior: str, distribution: str, name: str) -> str:
    values = [
        100 * row.metrics.values[name]
        for seed in seeds
        for row in seed
        if (row.scorer, row.prior, row.distribution) == (scorer, prior, distribution)
        and row.metrics is not None
    ]
    return f"{statistics.fmean(values):.1f}±{statistics.stdev(values):.1f}"


def test_priors_temperatures_and_subsets_are_side_by_side(seeds: Seeds, lines: Lines) -> None:
    text = shown(lines, seeds, CARRIED)
    priors, temperatures = figures(text, "forward 10")
    everyone, scaled = Scorer(ALL), Scorer(ALL, "experts")
    assert priors == [
        metric(seeds, everyone, prior, "forward_10", name)
        for prior in ("unknown", "known", "estimated")
        for name in ("accuracy", "ece")
    ]
    assert temperatures == [
        metric(seeds, everyone, "unknown", "forward_10", "accuracy"),
        metric(seeds, scaled, "unknown", "forward_10", "accuracy"),
        metric(seeds, everyone, "unknown", "forward_10", "ece"),
        metric(seeds, Scorer(ALL, "ensemble"), "unknown", "forward_10", "ece"),
        metric(seeds, scaled, "unknown", "forward_10", "ece"),
    ]
    (outer,) = figures(text, "1, -1")
    assert outer == [
        metric(seeds, Scorer((0, 2)), "unknown", distribution, name)
        for distribution in ("test", "forward_50", "backward_50")
        for name in ("accuracy", "ece")
    ]
    assert max(map(len, text)) <= 80
    assert not any("…" in line for line in text)


def test_the_temperatures_are_named_with_their_origin(seeds: Seeds, lines: Lines) -> None:
    text = "\n".join(shown(lines, seeds, CARRIED))
    assert "Temperatures: 1.5 of the ensemble, 0.5, 2, 4.25 of the experts" in text
    assert "carried over from 300 validation images of trial 7 of x" in text


def test_where_there_are_no_temperatures_the_reason_is_said(lines: Lines) -> None:
    text = shown(lines, [evaluated(0, OUTSIDE_A_STUDY)], OUTSIDE_A_STUDY)
    assert "No temperatures: the model was trained outside of a study." in text
    assert len(figures(text, "forward 10")) == 1
