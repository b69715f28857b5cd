"""A file system that is really full: a small one in memory, mounted for the test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from balpoe.atomic_write import write_bytes_atomically
from balpoe.errors import StorageError


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A directory with room for 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a file system here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_write_that_does_not_fit_leaves_the_old_file(small_disk: Path) -> None:
    write_bytes_atomically(small_disk / "file", b"old")
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        write_bytes_atomically(small_disk / "file", bytes(2**20))
    assert (small_disk / "file").read_bytes() == b"old"
    assert [path.name for path in small_disk.iterdir()] == ["file"]


def test_a_training_that_does_not_fit_ends_with_one_message(
    small_disk: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "data: {name: digits_lt}\nmodel: {backbone: resnet8}\ntraining: {epochs: 1, batch_size: 64}"
    )
    command = [str(Path(sys.executable).parent / "balpoe"), "train", str(file)]
    ended = subprocess.run(
        [*command, "--out", str(small_disk)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "No space left on device; free some space on the disk" in ended.stderr
    assert "Traceback" not in ended.stderr
