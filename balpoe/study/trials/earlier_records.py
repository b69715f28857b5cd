"""Records of earlier versions: the names of their class-weighted metrics weight images today.

`balpoe.config.earlier_names` converts the names. Whether the earlier names stay valid depends on
the balance of the validation split, which these records do not hold: it is taken from the labels
of stored predictions, or from a file that `balpoe run` writes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from balpoe.atomic_write import write_text_atomically
from balpoe.errors import CorruptFile
from balpoe.json_record import read_object, read_record
from balpoe.parquet_tables import format_of
from balpoe.study.trials.directory import StudyDirectory
from balpoe.training.predictions_file import label_counts

EARLIER_LAUNCH, EARLIER_METRICS = 1, 1
"""The formats of launches and of metrics with the earlier names."""


@dataclass(frozen=True, slots=True)
class _ValidationSplit:
    """The content of the file about the validation split."""

    balanced: bool


def has_earlier_names(directory: StudyDirectory) -> bool:
    """Return whether an earlier version began the study.

    The first launch decides, or the metrics of a study whose launches were not logged.

    Raises:
        CorruptFile: the log of the first launch is damaged.
    """
    first = min(directory.launches.glob("*.json"), default=None)
    if first is not None:
        return read_object(first, "restore it").get("format") == EARLIER_LAUNCH
    metrics = next(directory.path.glob("trials/*/repeat_0/metrics.parquet"), None)
    with suppress(CorruptFile):
        return metrics is not None and format_of(metrics) == EARLIER_METRICS
    return False


_Version = tuple[int, int]
_KNOWN: dict[Path, tuple[_Version, bool]] = {}
"""What predictions showed, by study, with the version of the study file at that time."""


def is_validation_balanced(directory: StudyDirectory) -> bool | None:
    """Return whether all classes in the validation split have as many images.

    None if the study has neither the file about it nor intact predictions. What predictions show is
    kept until the study file is written again, such as by another study in the same directory.

    Raises:
        CorruptFile: the file about the validation split is damaged.
    """
    if directory.validation_split.is_file():
        return read_record(directory.validation_split, _ValidationSplit, "delete it").balanced
    version = _version(directory.specification)
    known = _KNOWN.get(directory.path)
    if known is not None and known[0] == version:
        return known[1]
    for predictions in directory.path.glob("trials/*/repeat_*/predictions.parquet"):
        with suppress(CorruptFile):
            counts = label_counts(predictions)
            if counts:  # None or empty: a file that was deleted meanwhile, or has no image
                is_balanced = len(set(counts) - {0}) == 1
                if version is not None:
                    _KNOWN[directory.path] = version, is_balanced
                return is_balanced
    return None


def keeps_earlier_names(trial_file: Path) -> bool:
    """Return whether metrics in the file of a trial are valid by their earlier names too."""
    return is_validation_balanced(StudyDirectory(trial_file.absolute().parents[3])) is True


def record_validation_balance(directory: StudyDirectory, *, balanced: bool) -> None:
    """Write whether the validation split of the study is balanced.

    Raises:
        StorageError: the file cannot be written.
    """
    text = json.dumps(asdict(_ValidationSplit(balanced))) + "\n"
    write_text_atomically(directory.validation_split, text)


def _version(file: Path) -> _Version | None:
    """Return what identifies a file that is only ever replaced as a whole; None without it."""
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns
