"""The verb `export`: the best configurations of a study as files that `train` takes."""

from __future__ import annotations

from pathlib import Path

from balpoe.exporting import ExportReport, current_environment, export_best
from balpoe.launch.studies import RUNS, study_of
from balpoe.study.store import RecordStore


def export(study: str, *, top: int = 1, runs: Path | str = RUNS) -> ExportReport:
    """Write the `top` configurations of the study's Pareto front, with their evidence.

    Raises:
        UserError: there is no such study, or no trial of it is COMPLETE.
        StorageError: the files cannot be written.
    """
    spec, directory = study_of(study, Path(runs))
    return export_best(
        spec,
        RecordStore(spec, directory).records(),
        top=top,
        directory=directory.exports,
        environment=current_environment(),
    )
