"""The studies that a study begins from, found under the same runs and checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.launch.lookup import study_of
from balpoe.study.records.record_store import summaries
from balpoe.study.search.earlier_trials import EarlierStudy, earlier_study
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialRecord
from balpoe.study.trials.result_file import read_result_alone


def earlier_studies(spec: StudySpec, runs: Path, fingerprint: str) -> tuple[EarlierStudy, ...]:
    """What the studies of `spec.warm_start` are worth to it, whose data have this `fingerprint`.

    Raises:
        UserError: one is missing, or nothing can be learnt from it.
        CorruptFile: a result, or a storage, is damaged.
        StorageError: a storage cannot be read.
    """
    found = (_trials(name, runs, curves=bool(spec.constraints)) for name in spec.warm_start)
    return tuple(earlier_study(spec, earlier, trials, fingerprint) for earlier, trials in found)


def _trials(name: str, runs: Path, *, curves: bool) -> tuple[StudySpec, list[TrialRecord]]:
    """A study and its COMPLETE trials with the fingerprints of their data, and their `curves`."""
    try:
        spec, directory = study_of(name, runs)
    except UserError as error:
        raise UserError(f"warm_start: {error}") from error
    complete = [trial for trial in summaries(spec, directory) if trial.state == "COMPLETE"]
    found = [_with_fingerprint(trial, directory) for trial in complete]
    return spec, [_with_curve(trial, directory) for trial in found] if curves else found


def _with_fingerprint(trial: TrialRecord, directory: StudyDirectory) -> TrialRecord:
    result = read_result_alone(directory.trial(trial.identity))
    return replace(trial, data_fingerprint=result.data_fingerprint)


def _with_curve(trial: TrialRecord, directory: StudyDirectory) -> TrialRecord:
    return replace(trial, history=read_metrics(directory.trial(trial.identity).metrics))
