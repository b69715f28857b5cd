"""The table of corrections by τ."""

from __future__ import annotations

from collections.abc import Callable

import torch
from rich.console import RenderableType

from balpoe.evaluation.tau_choices import (
    CorrectedImages,
    Correction,
    LogitAdjustment,
    TauChoice,
    TauNormalisation,
    tau_choice,
)
from balpoe.method.priors import class_prior
from balpoe.reporting.tau_table import tau_table
from tests.scalar_priors import scalar_priors

Lines = Callable[[RenderableType], list[str]]
COUNTS = (200, 60, 10)


def images(correction: Correction, seed: int) -> CorrectedImages:
    labels_n = torch.arange(3).repeat(40)
    generator = torch.Generator().manual_seed(seed)
    logits_nec = torch.randn(120, 1, 3, generator=generator) + class_prior(COUNTS).log()
    logits_nec[torch.arange(120), :, labels_n] += 2.0
    return CorrectedImages(correction, logits_nec, labels_n, COUNTS)


def choices(seed: int) -> tuple[TauChoice, ...]:
    adjusted = LogitAdjustment(COUNTS, scalar_priors(class_prior(COUNTS), (1.0,)))
    normalised = TauNormalisation(torch.zeros(1, 3), torch.tensor([[3.0, 2.0, 1.0]]).double())
    return (
        tau_choice(images(adjusted, seed), images(adjusted, 9), "120 images"),
        tau_choice(images(normalised, seed), None, "the training leaves out none"),
    )


def test_each_correction_has_its_taus_and_the_chosen_one_is_marked(lines: Lines) -> None:
    seeds = [choices(0), choices(1)]
    shown = lines(tau_table(seeds))
    [chosen] = [
        line for line in shown if "*" in line and "τ·log π" in line and "highest" not in line
    ]
    taus = [choice.chosen.tau for (choice, _) in seeds if choice.chosen is not None]
    assert len(taus) == 2
    assert f"* {', '.join(f'{tau:g}' for tau in taus)}" in chosen
    adjusted = [line for line in shown if line.strip().startswith("f - τ·log π ")]
    normalised = [line for line in shown if line.strip().startswith("(f - b)·‖w‖^-τ ")]
    assert len(adjusted) == 3
    assert len(normalised) == 2
    assert all(line.count("–") >= 3 for line in normalised)
    text = "\n".join(shown)
    assert "* has the highest balanced accuracy on 120 images" in text
    assert "no choice: the training leaves out none" in text
