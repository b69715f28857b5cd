"""The files of exported configurations in the directory `exports` of a study.

rank_1_trial_0007.yaml              a configuration for `balpoe train`, its evidence as a comment
rank_1_trial_0007.provenance.json   the same evidence as JSON
known_ce_trial_0000.yaml            the configuration of a known point, here `ce`
known_ce_trial_0000.provenance.json

Names of known points are safe in file names: `StudySpec` checks them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balpoe.errors import CorruptFile
from balpoe.json_record import read_record
from balpoe.study.trials.directory import StudyDirectory

_RANK, _KNOWN = "rank_", "known_"
_PROVENANCE = ".provenance.json"
_HINT = "export the trial again"


@dataclass(frozen=True, slots=True)
class _TrialNumber:
    trial: int


@dataclass(frozen=True, slots=True)
class ExportedTrial(_TrialNumber):
    """The trial of an export, with the configuration that was measured and the exported one."""

    searched_configuration: Mapping[str, Any]
    final_configuration: Mapping[str, Any]


def configuration_file(exports: Path, *, rank: int, trial: int) -> Path:
    """Return the path of the configuration of a trial with a rank on the front."""
    return exports / f"{_RANK}{rank}_trial_{trial:04d}.yaml"


def known_point_file(exports: Path, *, name: str, trial: int) -> Path:
    """Return the path of the configuration of the known point `name`."""
    return exports / f"{_KNOWN}{name}_trial_{trial:04d}.yaml"


def provenance_file(configuration: Path) -> Path:
    """Return the path of the provenance of an exported configuration."""
    return configuration.with_suffix(_PROVENANCE)


def read_exported_trial(configuration: Path) -> ExportedTrial:
    """Read the trial of an exported configuration from its provenance.

    Raises:
        CorruptFile: the provenance is missing or damaged.
    """
    return read_record(provenance_file(configuration), ExportedTrial, _HINT, other_fields=True)


def exported_configurations(exports: Path) -> list[Path]:
    """Return the paths of all exported configurations, sorted by name."""
    return sorted((*exports.glob(f"{_RANK}*.yaml"), *exports.glob(f"{_KNOWN}*.yaml")))


def is_known_point(configuration: Path) -> bool:
    """Return whether a file is the export of a known point, by its name."""
    return exporting_study(configuration) is not None and configuration.name.startswith(_KNOWN)


def exported_trials(exports: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the name of each provenance file and its trial number, None if it cannot be read."""
    for path in sorted(exports.glob(f"*{_PROVENANCE}")):
        try:
            yield path.name, read_record(path, _TrialNumber, _HINT, other_fields=True).trial
        except CorruptFile:
            yield path.name, None


def exporting_study(configuration: Path) -> StudyDirectory | None:
    """Return the study whose directory `exports` holds the file, or None for other files."""
    exports = configuration.resolve().parent
    study = StudyDirectory(exports.parent)
    return study if study.exports == exports else None
