"""The result of one repeat of a trial, as JSON: written last, so that it vouches for the rest.

It holds the sha256 of the other files, and the sha256 of its own content.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice
from balpoe.config.earlier_names import converted_metrics
from balpoe.errors import CorruptFile
from balpoe.json_record import as_record, check_format, read_object
from balpoe.parquet_tables import sha256_of
from balpoe.study.trials.directory import TrialDirectory
from balpoe.study.trials.earlier_records import keeps_earlier_names
from balpoe.study.trials.record import TrialIdentity

FORMAT = 3
_EARLIER_NAMES, _WITHOUT_CLASS_COUNTS = 2, 1
"""Formats with the earlier names of metrics and without precision; the older lacks class counts."""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The result of one complete repeat.

    `objectives` are those of the last epoch, `seed` is that of the training, `started` (of the last
    attempt) and `ended` are in Unix seconds, `files` are the sha256 of the other files by name.
    `class_counts` are the training images of each class, from which the prior of the logits
    follows; None in a result of format 1. `precision` is the format in which the networks computed
    training and validation: float32, tf32 or bfloat16; None in results of formats 1 and 2.
    """

    identity: TrialIdentity
    parameters: Mapping[str, Choice]
    objectives: Mapping[str, float]
    seed: int
    data_fingerprint: str
    started: float
    ended: float
    files: Mapping[str, str]
    class_counts: tuple[int, ...] | None = None
    precision: str | None = None


def training_seed(study_seed: int, repeat: int) -> int:
    """Return the seed of the training of a repeat.

    It is the same for all trials, so that they can be compared in pairs.
    """
    return int(np.random.SeedSequence((study_seed, repeat)).generate_state(1)[0])


def write_result(directory: TrialDirectory, result: TrialResult) -> None:
    """Write `result` to `directory`.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    content = {"format": FORMAT, **asdict(result)}
    document = {**content, "sha256": _digest(content)}
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_text_atomically(directory.result, text)


def read_result(directory: TrialDirectory) -> TrialResult:
    """Read the result in `directory`; verify it and the files that it vouches for.

    Raises:
        CorruptFile: a file is missing, damaged, changed or of another format.
    """
    result = read_result_alone(directory)
    for name, digest in result.files.items():
        path = directory.path / name
        if sha256_of(path) != digest:
            raise CorruptFile(
                f"{path}: damaged or changed, its sha256 is not that in {directory.result}"
            )
    return result


def read_result_alone(directory: TrialDirectory) -> TrialResult:
    """Read the result in `directory`; verify it, but not the files that it vouches for.

    Raises:
        CorruptFile: the result is missing, damaged, changed or of another format.
    """
    path, hint = directory.result, "restore it"
    content = read_object(path, hint)
    digest = content.pop("sha256", None)
    if digest != _digest(content):
        raise CorruptFile(f"{path}: damaged or changed, its sha256 is that of another content")
    found = content.pop("format", None)
    check_format(path, found, (FORMAT, _EARLIER_NAMES, _WITHOUT_CLASS_COUNTS))
    result = as_record(path, content, TrialResult, hint)
    if found == FORMAT:
        return result
    objectives = converted_metrics(result.objectives, is_balanced=keeps_earlier_names(path))
    return replace(result, objectives=objectives)


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
