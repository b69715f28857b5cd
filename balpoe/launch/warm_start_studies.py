"""The earlier studies of `warm_start`, which the sampler learns from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from balpoe.config import StudySpec
from balpoe.errors import UserError
from balpoe.launch.runs import find_study
from balpoe.study.records.record_store import summaries
from balpoe.study.search.earlier_trials import EarlierStudy, earlier_study
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import read_metrics
from balpoe.study.trials.record import TrialRecord
from balpoe.study.trials.result_file import read_result_alone


def warm_start_studies(spec: StudySpec, runs: Path, fingerprint: str) -> tuple[EarlierStudy, ...]:
    """Return the studies of `spec.warm_start` for a study on data with this fingerprint.

    Raises:
        UserError: a study is missing, or has nothing that the sampler can learn from.
        CorruptFile: a result or a storage is damaged.
        StorageError: a storage cannot be read.
    """
    found = (
        _complete_trials(name, runs, curves=bool(spec.constraints)) for name in spec.warm_start
    )
    return tuple(earlier_study(spec, earlier, trials, fingerprint) for earlier, trials in found)


def _complete_trials(name: str, runs: Path, *, curves: bool) -> tuple[StudySpec, list[TrialRecord]]:
    """Return a study and its COMPLETE trials with their data fingerprints and their `curves`."""
    try:
        spec, directory = find_study(name, runs)
    except UserError as error:
        raise UserError(f"warm_start: {error}") from error
    complete = [trial for trial in summaries(spec, directory) if trial.state == "COMPLETE"]
    return spec, [_with_files(trial, directory, curve=curves) for trial in complete]


def _with_files(trial: TrialRecord, directory: StudyDirectory, *, curve: bool) -> TrialRecord:
    files = directory.trial(trial.identity)
    fingerprint = read_result_alone(files).data_fingerprint
    history = read_metrics(files.metrics) if curve else trial.history
    return replace(trial, data_fingerprint=fingerprint, history=history)
