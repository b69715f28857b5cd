"""All figures of a study, in their order."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.reporting.figures.course_figures import failures, learning_curves, progress, timeline
from balpoe.reporting.figures.drawing import Drawing
from balpoe.reporting.figures.front_figures import front
from balpoe.reporting.figures.parameter_figures import (
    importance,
    parallel_coordinates,
    parameters,
)
from balpoe.reporting.figures.trend_figures import trends
from balpoe.study.search.importance import Importance
from balpoe.study.trials.record import TrialRecord


def study_drawings(
    spec: StudySpec, records: Sequence[TrialRecord], importances: Sequence[Importance]
) -> tuple[Drawing, ...]:
    """Return the figures of a study for which there are data.

    Args:
        spec: The study.
        records: All its trials and repeats, with their histories.
        importances: The importance of its parameters for each objective.
    """
    drawn = (
        front(spec, records),
        parameters(spec, records),
        parallel_coordinates(spec, records),
        importance(importances),
        learning_curves(spec, records),
        progress(spec, records),
        timeline(records),
        failures(records),
        *trends(spec, records),
    )
    return tuple(drawing for drawing in drawn if drawing is not None)
