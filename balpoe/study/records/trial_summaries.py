"""The stored summaries of the validation predictions of trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.record import TrialRecord
from balpoe.training.summary_file import read_summary


def trial_summary(directory: StudyDirectory, record: TrialRecord) -> PredictionSummary | None:
    """Return the summary of a repeat; None unless it is COMPLETE, and for earlier versions.

    Raises:
        CorruptFile: the file is damaged or of another format.
    """
    path = directory.trial(record.identity).summary
    return read_summary(path) if record.state == "COMPLETE" and path.exists() else None


def stored_floors(
    directory: StudyDirectory, trials: Iterable[TrialRecord]
) -> Mapping[int, Mapping[str, float]]:
    """Return for each trial the floors of its objectives and constraints that are an ECE.

    Raises:
        CorruptFile: a summary is damaged or of another format.
    """
    found = {trial.identity.number: trial_summary(directory, trial) for trial in trials}
    return {number: summary.floors for number, summary in found.items() if summary is not None}
