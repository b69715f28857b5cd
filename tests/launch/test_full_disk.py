"""Writes to a full disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from balpoe.atomic_write import write_bytes_atomically
from balpoe.errors import StorageError
from balpoe.study.storage.lease import hold_lease, lease_holder
from tests.launch.faults_study import faults_study
from tests.launch.launched_study import TRIALS, assert_complete, begun, launch, recorded
from tests.small_disk import SmallDisk, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk with 256 KiB of free space."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        yield disk


def test_a_write_that_does_not_fit_leaves_the_old_file(disk: SmallDisk) -> None:
    file = disk.path / "file"
    write_bytes_atomically(file, b"old")
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        write_bytes_atomically(file, bytes(2**20))
    assert file.read_bytes() == b"old"
    assert [path.name for path in disk.path.iterdir()] == ["file"]


def test_a_lease_that_does_not_fit_is_refused_until_there_is_room(disk: SmallDisk) -> None:
    lease = disk.path / "lease"
    disk.fill()
    refused = "lease: cannot be written: No space left on device; free some space"
    with pytest.raises(StorageError, match=refused), hold_lease(lease):
        pass
    disk.free()
    with hold_lease(lease):
        assert lease_holder(lease) is not None


def test_a_training_that_does_not_fit_ends_with_one_message(
    disk: SmallDisk, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "data: {name: digits_lt}\nmodel: {backbone: resnet8}\ntraining: {epochs: 1, batch_size: 64}"
    )
    command = [str(Path(sys.executable).parent / "balpoe"), "train", str(file)]
    ended = subprocess.run(
        [*command, "--out", str(disk.path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "No space left on device; free some space on the disk" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_study_whose_database_in_sqlite_has_no_room_stops_with_a_line_and_continues_later(
    tmp_path: Path,
) -> None:
    (tmp_path / "faults.yaml").write_text(faults_study(TRIALS))
    study = tmp_path / "runs/faults"
    with small_disk(study, "4m") as disk, small_disk(study / "trials", "4m"):
        with launch(tmp_path, epoch_seconds=0.3) as supervisor:
            begun(tmp_path, 1)
            disk.fill()
            output, _ = supervisor.communicate(timeout=120)
        assert supervisor.returncode == 2, output
        *_, error = output.splitlines()
        assert error.startswith(f"error: {study}/optuna.db: cannot be read or written")
        assert "full; check the disk's space" in error
        assert "Traceback" not in output
        disk.free()
        assert "FAIL" not in {record.state for record in recorded(tmp_path)}
        with launch(tmp_path) as supervisor:
            output, _ = supervisor.communicate(timeout=120)
        assert supervisor.returncode == 0, output
        assert_complete(tmp_path)
