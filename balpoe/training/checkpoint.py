"""Checkpoints, which are written atomically and checked before they are used.

A checkpoint is one safetensors file. Its name contains the epoch, the attempt that wrote it and
the sha256 of its content. With the attempt in the name, a worker that was replaced but still runs
cannot overwrite the files of its successor.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import safetensors.torch
from safetensors import safe_open
from torch import Tensor

from balpoe.atomic_write import create_directory, write_bytes_atomically
from balpoe.config.earlier_names import converted_metrics
from balpoe.errors import CorruptFile
from balpoe.training.epoch import EpochResult

FORMAT = 2
_EARLIER_NAMES = 1
KEPT = 2

OTHER_TRAINING = "another configuration, data or seed, or version of a package with its entries"

logger = logging.getLogger(__name__)

_NAME = re.compile(
    r"epoch_(?P<epoch>\d{6})\.attempt_(?P<attempt>\d+)\.(?P<digest>[0-9a-f]{64})\.safetensors"
)


@dataclass(frozen=True, eq=False, slots=True)
class Checkpoint:
    """The state of a training after its last finished epoch.

    `identity` is that of the training (configuration, data, seed, packages of entries): a
    checkpoint of another one is refused. `history` holds the results of all epochs so far.
    `format` is that of the file.
    """

    identity: str
    history: tuple[EpochResult, ...]
    tensors: Mapping[str, Tensor]
    format: int = FORMAT


@dataclass(frozen=True, slots=True, order=True)
class _Found:
    epoch: int
    attempt: int
    path: Path
    digest: str


class CheckpointDirectory:
    """The checkpoints of one training; the newest two are kept.

    `earlier_version_hint` is part of the error for checkpoints of another training that an earlier
    version of balpoe began.
    """

    def __init__(self, path: Path, attempt: int = 0, *, earlier_version_hint: str = "") -> None:
        self._path = path
        self._attempt = attempt
        self._earlier_version_hint = earlier_version_hint

    def save(self, checkpoint: Checkpoint) -> None:
        """Write `checkpoint`, then delete all but the newest two.

        Raises:
            StorageError: the directory cannot be written; the older checkpoints are untouched.
        """
        tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.tensors.items()}
        history = [asdict(result) for result in checkpoint.history]
        header = {
            "format": str(FORMAT),
            "identity": checkpoint.identity,
            "history": json.dumps(history, allow_nan=False),
        }
        content = safetensors.torch.save(tensors, metadata=header)
        digest = hashlib.sha256(content).hexdigest()
        epoch = len(checkpoint.history)
        name = f"epoch_{epoch:06d}.attempt_{self._attempt}.{digest}.safetensors"
        create_directory(self._path)
        write_bytes_atomically(self._path / name, content)
        for old in self._newest_first()[KEPT:]:
            old.path.unlink(missing_ok=True)

    def newest(self, identity: str, *, is_balanced: bool = False) -> Checkpoint | None:
        """Return the newest intact checkpoint, or None; log a warning for each damaged one.

        In the history of an earlier version class-weighted metrics get their present names. Where
        the validation split `is_balanced`, they keep the earlier ones too.

        Raises:
            CorruptFile: there are checkpoints of another training.
        """
        for found in self._newest_first():
            try:
                checkpoint = _read(found, is_balanced)
            except CorruptFile as error:
                logger.warning("%s; continuing from the checkpoint before", error)
                continue
            if checkpoint.identity != identity:
                hint = self._earlier_version_hint if checkpoint.format == _EARLIER_NAMES else ""
                raise CorruptFile(
                    f"{found.path}: belongs to a training with {OTHER_TRAINING}{hint}; remove "
                    f"{self._path} or write to another directory"
                )
            return checkpoint
        return None

    def _newest_first(self) -> list[_Found]:
        matches = ((path, _NAME.fullmatch(path.name)) for path in self._path.glob("epoch_*"))
        found = [
            _Found(int(match["epoch"]), int(match["attempt"]), path, match["digest"])
            for path, match in matches
            if match
        ]
        return sorted(found, reverse=True)


def _read(found: _Found, is_balanced: bool) -> Checkpoint:
    try:
        content = found.path.read_bytes()
    except OSError as error:
        raise CorruptFile(f"{found.path}: cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != found.digest:
        raise CorruptFile(f"{found.path}: damaged, its content does not match its sha256")
    tensors = safetensors.torch.load(content)
    with safe_open(found.path, framework="pt") as file:
        header = file.metadata()
    if header["format"] not in (str(FORMAT), str(_EARLIER_NAMES)):
        raise CorruptFile(
            f"{found.path}: has format {header['format']}, this version of balpoe reads {FORMAT}; "
            f"continue with the version that wrote it"
        )
    history = tuple(EpochResult(**result) for result in json.loads(header["history"]))
    if header["format"] == str(_EARLIER_NAMES):
        history = tuple(
            replace(result, metrics=converted_metrics(result.metrics, is_balanced=is_balanced))
            for result in history
        )
    return Checkpoint(header["identity"], history, tensors, int(header["format"]))
