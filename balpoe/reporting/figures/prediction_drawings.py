"""All figures of the predictions of one trial or model, in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.reporting.figures.class_figures import class_accuracy, confusion, marginals
from balpoe.reporting.figures.confidence_figure import confidence_over_epochs
from balpoe.reporting.figures.distribution_figure import distribution_results
from balpoe.reporting.figures.drawing import Drawing
from balpoe.reporting.figures.expert_figures import contributions, shots_by_expert
from balpoe.reporting.figures.reliability import reliability_diagrams
from balpoe.training.epoch import EpochResult


def prediction_drawings(
    summary: PredictionSummary,
    subject: str,
    *,
    history: Sequence[EpochResult] = (),
    final: Mapping[str, float] | None = None,
) -> tuple[Drawing, ...]:
    """Return the figures of the predictions of one trial or model for which there are data.

    Args:
        summary: The summary of its predictions.
        subject: Its name.
        history: Its epochs.
        final: The metrics of a model on the test distributions, as `metrics.json` holds them.
    """
    drawn = (
        reliability_diagrams(summary, subject),
        class_accuracy(summary, subject),
        confusion(summary, subject),
        marginals(summary, subject),
        shots_by_expert(summary, subject),
        contributions(summary, subject),
        confidence_over_epochs(history, subject),
        distribution_results(final or {}, subject),
    )
    return tuple(drawing for drawing in drawn if drawing is not None)
