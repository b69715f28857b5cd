"""The command `export`: write the best configurations of a study as files for `train`."""

from __future__ import annotations

from pathlib import Path

from balpoe.exporting.export import ExportReport, export_best
from balpoe.exporting.preference import Preference
from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.study.object_store.study_files import study_files
from balpoe.study.records.record_store import RecordStore
from balpoe.study.trials.launch_log import logged_launches


def export(
    study: str,
    *,
    top: int = 1,
    prefer: str | None = None,
    known_points: bool = False,
    runs: Path | str = RUNS,
) -> ExportReport:
    """Write the `top` configurations of the study's Pareto front, with their evidence.

    They are ordered by balanced validation accuracy, or by the highest value of `prefer`:
    arithmetic on validation metrics such as `val/balanced_accuracy - 0.5*val/balanced_ece`. With
    `known_points` the known points of the study are written too; the report has the reasons why
    some are left out.

    Raises:
        UserError: there is no such study, no trial is COMPLETE, or `prefer` is invalid.
        StorageError: the files cannot be written.
    """
    preference = None if prefer is None else Preference(prefer)
    spec, directory = find_study(study, local_runs(runs))
    records = RecordStore(spec, directory).records()
    with study_files(directory).changing(directory.exports):
        return export_best(
            spec,
            records,
            top=top,
            directory=directory.exports,
            launches=logged_launches(directory.launches),
            preference=preference,
            known_points=known_points,
        )
