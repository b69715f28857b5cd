"""The summary of predictions as a JSON file; numbers have seven digits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from balpoe.atomic_write import write_text_atomically
from balpoe.evaluation.prediction_summary import PredictionSummary
from balpoe.json_record import read_record

FORMAT = 1
_HINT = "restore it"


def write_summary(path: Path, summary: PredictionSummary) -> None:
    """Write `summary` to `path`.

    Raises:
        StorageError: the file cannot be written; its previous content is kept.
    """
    content = _rounded({"format": FORMAT, **asdict(summary)})
    write_text_atomically(path, json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n")


def read_summary(path: Path) -> PredictionSummary:
    """Read the summary that `write_summary` has written.

    Raises:
        CorruptFile: the file is missing, damaged or of another format.
    """
    return read_record(path, PredictionSummary, _HINT, formats=(FORMAT,))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value
