from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
import torch

from balpoe.errors import CorruptFile, StorageError
from balpoe.training.checkpoint import Checkpoint, CheckpointDirectory
from balpoe.training.epoch import EpochResult


def checkpoint(epochs: int, identity: str = "this training") -> Checkpoint:
    history = tuple(EpochResult(n + 1, 1.5, {"train/loss": 1 / (n + 1)}) for n in range(epochs))
    weights = {"weight": torch.full((3, 2, 2, 2), float(epochs)), "steps": torch.tensor(epochs)}
    return Checkpoint(identity, history, weights)


def files_in(path: Path) -> list[Path]:
    return sorted(path.iterdir())


def test_what_was_saved_is_read_back(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path)
    saved = checkpoint(3)
    directory.save(saved)
    read = directory.newest("this training")
    assert read is not None
    assert read.history == saved.history
    assert all(torch.equal(tensor, read.tensors[name]) for name, tensor in saved.tensors.items())


def test_an_empty_or_missing_directory_has_no_checkpoint(tmp_path: Path) -> None:
    assert CheckpointDirectory(tmp_path / "missing").newest("this training") is None


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path)
    for epochs in range(1, 6):
        directory.save(checkpoint(epochs))
    assert [path.name[:12] for path in files_in(tmp_path)] == ["epoch_000004", "epoch_000005"]


@pytest.mark.parametrize("damage", ["flipped bit", "truncated", "emptied"])
def test_a_damaged_newest_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    directory = CheckpointDirectory(tmp_path)
    directory.save(checkpoint(1))
    directory.save(checkpoint(2))
    newest = files_in(tmp_path)[-1]
    content = bytearray(newest.read_bytes())
    content[-1] ^= 1
    damaged = {"flipped bit": bytes(content), "truncated": bytes(content[:-9]), "emptied": b""}
    newest.write_bytes(damaged[damage])
    with caplog.at_level(logging.WARNING):
        read = directory.newest("this training")
    assert read is not None
    assert len(read.history) == 1
    assert str(newest) in caplog.text


def test_checkpoints_of_another_training_are_refused(tmp_path: Path) -> None:
    CheckpointDirectory(tmp_path).save(checkpoint(1, identity="another"))
    with pytest.raises(CorruptFile, match="another configuration, data or seed"):
        CheckpointDirectory(tmp_path).newest("this training")


def test_the_later_attempt_wins_at_the_same_epoch(tmp_path: Path) -> None:
    CheckpointDirectory(tmp_path, attempt=1).save(checkpoint(2))
    CheckpointDirectory(tmp_path, attempt=0).save(checkpoint(2))
    newest = CheckpointDirectory(tmp_path, attempt=1)._newest_first()[0]
    assert newest.attempt == 1


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "epoch_notes").write_text("mine too")
    directory = CheckpointDirectory(tmp_path)
    for epochs in range(1, 5):
        directory.save(checkpoint(epochs))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "epoch_notes").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=str(tmp_path / "file")):
        CheckpointDirectory(tmp_path / "file" / "checkpoints").save(checkpoint(1))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_an_unreadable_checkpoint_is_passed_over(tmp_path: Path) -> None:
    directory = CheckpointDirectory(tmp_path)
    directory.save(checkpoint(1))
    directory.save(checkpoint(2))
    newest = files_in(tmp_path)[-1]
    newest.unlink()
    newest.symlink_to(tmp_path)  # a directory in the file's place
    read = directory.newest("this training")
    assert read is not None
    assert len(read.history) == 1
