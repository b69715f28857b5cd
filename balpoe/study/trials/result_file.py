"""What came of one repeat of a trial, as JSON: written last, so that it vouches for the rest.

It holds the sha256 of the other files, and its own over what it says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice
from balpoe.errors import CorruptFile
from balpoe.study.trials.directory import TrialDirectory
from balpoe.study.trials.parquet_tables import sha256_of
from balpoe.study.trials.record import TrialIdentity

FORMAT = 2
_WITHOUT_CLASS_COUNTS = 1


@dataclass(frozen=True, slots=True)
class TrialResult:
    """The end of one complete repeat.

    `objectives` are those of the last epoch, `seed` that of the training, `started` (of the
    last attempt) and `ended` Unix seconds, `files` the sha256 of the other files by name,
    `class_counts` the training images of each class, by which its logits are read: None in a
    result of format 1.
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


def write_result(directory: TrialDirectory, result: TrialResult) -> None:
    """Write `result` to `directory`.

    Raises:
        StorageError: the file cannot be written; what it held before is untouched.
    """
    content = {"format": FORMAT, **asdict(result)}
    document = {**content, "sha256": _digest(content)}
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    write_text_atomically(directory.result, text)


def read_result(directory: TrialDirectory) -> TrialResult:
    """Read the result in `directory`, and verify it and the files that it vouches for.

    Raises:
        CorruptFile: one of them is missing, damaged, touched or of another format.
    """
    result = read_result_alone(directory)
    for name, digest in result.files.items():
        path = directory.path / name
        if sha256_of(path) != digest:
            raise CorruptFile(f"{path}: damaged or touched, it is not as {directory.result} says")
    return result


def read_result_alone(directory: TrialDirectory) -> TrialResult:
    """Read the result in `directory`, and verify it, but not the files that it vouches for.

    Raises:
        CorruptFile: it is missing, damaged, touched or of another format.
    """
    content = _read_content(directory.result)
    content["identity"] = TrialIdentity(**content["identity"])
    if content.get("class_counts") is not None:
        content["class_counts"] = tuple(content["class_counts"])
    return TrialResult(**content)


def _read_content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_bytes())
        digest = content.pop("sha256")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CorruptFile(f"{path}: missing or damaged: {error}") from error
    if digest != _digest(content):
        raise CorruptFile(f"{path}: damaged or touched, its content does not match its sha256")
    found = content.pop("format")
    if found not in (FORMAT, _WITHOUT_CLASS_COUNTS):
        raise CorruptFile(
            f"{path}: has format {found}, but this version of balpoe reads {FORMAT}; "
            f"open it with the version that wrote it"
        )
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
