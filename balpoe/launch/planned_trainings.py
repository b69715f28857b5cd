"""The final trainings that a call of `train` plans: their configurations and directories.

All files are read before any training begins, so that an error in the last one costs no training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from balpoe.config import Configuration
from balpoe.errors import UserError
from balpoe.exporting.export_files import exporting_study
from balpoe.files import load_configuration
from balpoe.launch import RUNS
from balpoe.launch.runs import is_remote
from balpoe.launch.study_file import with_absolute_paths
from balpoe.launch.tracking import model_store
from balpoe.tracking import TrackingStore


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """A configuration, its file, the directory of its models and their MLflow store."""

    file: Path
    configuration: Configuration
    path: Path
    store: TrackingStore


def planned_trainings(
    files: Sequence[Path],
    *,
    runs: Path | str,
    out: Path | None,
    tracking_uri: str | None,
) -> tuple[PlannedTraining, ...]:
    """Read all files and return a training for each.

    Args:
        files: The configurations.
        runs: The directory of the studies; models are below `models` in it.
        out: Another directory: of the models of one file, or of a directory for each of several.
        tracking_uri: An MLflow store; by default that of the study.

    Raises:
        UserError: a file is invalid, or two files have the same directory.
    """
    if not files:
        raise UserError("no configuration is given")
    if is_remote(runs):
        if out is None:
            raise UserError(
                f"--out: name a directory for the models; --runs is {runs}, which holds only "
                f"studies"
            )
        runs = RUNS
    runs = Path(runs)
    outputs = [default_output(file, runs) for file in files]
    if out is not None:
        outputs = [out] if len(files) == 1 else [out / output.name for output in outputs]
    _refuse_equal_outputs(files, outputs)
    configurations = _read(files)
    return tuple(
        PlannedTraining(file, configuration, output, model_store(file, runs, tracking_uri))
        for file, configuration, output in zip(files, configurations, outputs, strict=True)
    )


def default_output(configuration_file: Path, runs: Path = RUNS) -> Path:
    """Return `models/<file>` in `runs`; for an exported file with the study's name in front."""
    name = configuration_file.stem
    study = exporting_study(configuration_file)
    return runs / "models" / (name if study is None else f"{study.path.name}_{name}")


def _read(files: Sequence[Path]) -> list[Configuration]:
    """Read all files; an error lists the faults of all of them."""
    configurations, faults = [], []
    for file in files:
        try:
            configurations.append(with_absolute_paths(load_configuration(file)))
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    return configurations


def _refuse_equal_outputs(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    faults = list(_equal_outputs(files, outputs))
    if faults:
        raise UserError("\n".join(faults))


def _equal_outputs(files: Sequence[Path], outputs: Sequence[Path]) -> Iterator[str]:
    first: dict[Path, Path] = {}
    for file, output in zip(files, outputs, strict=True):
        other = first.setdefault(output, file)
        if other is not file and other.resolve() == file.resolve():
            yield f"{file}: is given twice"
        elif other is not file:
            yield (
                f"{file}: its models would be in {output}, like those of {other}; rename a file, "
                f"or train them separately with --out"
            )
