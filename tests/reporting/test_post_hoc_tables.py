"""Tables of real post-hoc evaluations of drawn logits."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from rich.console import RenderableType

from balpoe.evaluation.post_hoc import PostHocEvaluation, Scorer, evaluate_post_hoc
from balpoe.evaluation.temperature import Temperatures
from balpoe.evaluation.validated_choices import (
    ValidatedChoices,
    metrics_on_test,
    metrics_on_validation,
    validated_choices,
)
from balpoe.method.priors import class_prior
from balpoe.reporting.post_hoc_tables import post_hoc_tables
from balpoe.training.model_directory import OUTSIDE_A_STUDY, Calibration
from tests.scalar_priors import scalar_priors

Lines = Callable[[RenderableType], list[str]]
Seeds = list[tuple[PostHocEvaluation, ...]]
LAMBDAS = (1.0, 0.0, -1.0)
COUNTS = [500, 300, 200, 120, 80, 50, 30, 19, 10, 5]
CARRIED = Calibration(
    Temperatures(1.5, (0.5, 2.0, 4.25)), "carried over from 300 validation images of trial 7 of x"
)
ALL = (0, 1, 2)


def evaluated(seed: int, calibration: Calibration) -> tuple[PostHocEvaluation, ...]:
    return evaluate_post_hoc(
        *logits_and_labels(seed),
        priors=scalar_priors(class_prior(COUNTS), LAMBDAS),
        class_counts=COUNTS,
        temperatures=calibration.temperatures,
        held_out=logits_and_labels(100 + seed),
    )


@pytest.fixture(scope="module")
def seeds() -> Seeds:
    return [evaluated(seed, CARRIED) for seed in range(2)]


def logits_and_labels(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    labels_n = torch.arange(10).repeat_interleave(60)
    logits_nec = torch.randn(600, 3, 10, generator=torch.Generator().manual_seed(seed))
    logits_nec[torch.arange(600), :, labels_n] += 1.5
    return logits_nec, labels_n


def chosen(seed: int, calibration: Calibration, *, with_validation: bool) -> ValidatedChoices:
    prior_c = class_prior(COUNTS)
    of_model: dict[str, Any] = {
        "priors": scalar_priors(prior_c, LAMBDAS),
        "class_counts": COUNTS,
    }
    validation = metrics_on_validation(*logits_and_labels(9), **of_model)
    test = metrics_on_test(
        *logits_and_labels(seed),
        priors=scalar_priors(prior_c, LAMBDAS),
        class_counts=COUNTS,
        temperatures=calibration.temperatures,
    )
    return validated_choices(validation if with_validation else None, test, calibration.origin)


def shown(lines: Lines, seeds: Sequence[Sequence[PostHocEvaluation]], of: Calibration) -> list[str]:
    with_validation = of.temperatures is not None
    choices = [chosen(seed, of, with_validation=with_validation) for seed in range(len(seeds))]
    return [line for table in post_hoc_tables(seeds, choices, LAMBDAS, of) for line in lines(table)]


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


def test_priors_are_side_by_side(seeds: Seeds, lines: Lines) -> None:
    text = shown(lines, seeds, CARRIED)
    (priors,) = figures(text, "forward 10")
    everyone = Scorer(ALL)
    assert priors == [
        metric(seeds, everyone, prior, "forward_10", name)
        for prior in ("unknown", "known", "estimated")
        for name in ("accuracy", "ece")
    ]
    assert max(map(len, text)) <= 80
    assert not any("…" in line for line in text)


def test_subsets_are_numbers_of_experts_where_the_loss_has_no_lambda(
    seeds: Seeds, lines: Lines
) -> None:
    choices = [chosen(seed, CARRIED, with_validation=True) for seed in range(2)]
    tables = post_hoc_tables(seeds, choices, None, CARRIED)
    text = "\n".join(line for table in tables for line in lines(table))
    assert "λ" not in text
    assert "experts 0, 2" in text


def test_choices_show_validation_and_the_test_set_as_its_consequence(
    seeds: Seeds, lines: Lines
) -> None:
    text = shown(lines, seeds, CARRIED)
    choices = [chosen(seed, CARRIED, with_validation=True) for seed in range(2)]
    names = {
        Scorer(ALL): "as trained",
        Scorer(ALL, "ensemble"): "one temperature",
        Scorer(ALL, "experts"): "own temperatures",
        Scorer((1,)): "λ 0",
        Scorer((0, 2)): "λ 1, -1",
    }
    assert [row.scorer for row in choices[0].choices] == list(names)
    for first, second in zip(choices[0].choices, choices[1].choices, strict=True):
        mark = "* " if first.scorer == choices[0].best else ""
        on_both, on_shifts = figures(text, mark + names[first.scorer])
        assert first.validation is not None
        validation, one, other = (
            each.values for each in (first.validation, first.test, second.test)
        )
        assert on_both[:3] == [
            f"{validation['balanced_nll']:.3f}",
            f"{100 * validation['balanced_accuracy']:.1f}",
            f"{100 * validation['balanced_ece']:.1f}",
        ]
        both = [100 * one["balanced_ece"], 100 * other["balanced_ece"]]
        assert on_both[5] == f"{statistics.fmean(both):.1f}±{statistics.stdev(both):.1f}"
        assert on_shifts == [
            metric(seeds, first.scorer, "unknown", distribution, name)
            for distribution in ("test", "forward_50", "backward_50")
            for name in ("accuracy", "ece")
        ]
    assert sum(line.strip().startswith("* ") for line in text) == 2


def test_heads_name_the_weighting_and_each_ece_has_its_floor(seeds: Seeds, lines: Lines) -> None:
    """Accuracy over classes and over images are different numbers of one row name."""
    text = shown(lines, seeds, CARRIED)
    heads = [line.split() for line in text]
    assert ["val", "val", "val", "test", "test", "test"] in heads
    start = heads.index(["val", "val", "val", "test", "test", "test"])
    assert heads[start + 1] == ["bal."] * 6
    assert heads[start + 2] == ["NLL", "acc.", "%", "ECE", "%"] * 2
    assert heads[start + 3] == ["choice", "floor", "floor"]
    joined = " ".join(" ".join(text).split())
    assert "*: chosen, the least balanced NLL on validation" in joined
    assert joined.count("floor: mean ECE of perfectly calibrated predictions") == 3

    rows = [chosen(seed, CARRIED, with_validation=True).choices[0] for seed in range(2)]
    assert rows[0].validation is not None
    of_test = [row.test.values["balanced_ece_floor"] for row in rows]
    floors = [100 * rows[0].validation.values["balanced_ece_floor"], 50 * sum(of_test)]
    [on_both, on_shifts] = [
        text[n + 1].split()
        for n, line in enumerate(text)
        if line.strip().removeprefix("* ").startswith("as trained ")
    ]
    assert on_both == [f"{floor:.1f}" for floor in floors]
    assert len(on_shifts) == 3
    [of_priors] = [
        text[n + 1].split() for n, line in enumerate(text) if line.strip().startswith("forward 10")
    ]
    values = [
        statistics.fmean(
            100 * row.metrics.values["ece_floor"]
            for seed in seeds
            for row in seed
            if (row.scorer, row.prior, row.distribution) == (Scorer(ALL), prior, "forward_10")
            and row.metrics is not None
        )
        for prior in ("unknown", "known", "estimated")
    ]
    assert of_priors == [f"{value:.1f}" for value in values]


def test_weighted_rows_without_an_estimate_are_explained(lines: Lines) -> None:
    text = " ".join(" ".join(shown(lines, [evaluated(0, CARRIED)], CARRIED)).split())
    assert "– without held-out images of the model, or where a shift weights classes" in text


def test_the_temperatures_are_named_with_their_origin(seeds: Seeds, lines: Lines) -> None:
    text = " ".join(shown(lines, seeds, CARRIED))
    assert "Temperatures: 1.5 of the ensemble, 0.5, 2, 4.25 of the experts" in text
    assert "carried over from 300 validation images of trial 7 of x" in text


def test_where_there_are_no_temperatures_the_reason_is_said(lines: Lines) -> None:
    text = shown(lines, [evaluated(0, OUTSIDE_A_STUDY)], OUTSIDE_A_STUDY)
    assert "No temperatures: the model was trained outside of a study." in text
    assert "no validation, no choice: the model was trained outside of a study" in " ".join(text)
    assert figures(text, "as trained")[0][:3] == ["–", "–", "–"]
    assert not any(line.strip().startswith("* ") for line in text)
