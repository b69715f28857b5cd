from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from balpoe.atomic_write import atomic_writer, write_bytes_atomically, write_text_atomically
from balpoe.errors import StorageError


def test_a_written_file_holds_its_content_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "x.json", "λ = −1")
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == "λ = −1"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_written_file_has_the_mode_of_an_ordinary_new_file(tmp_path: Path) -> None:
    (tmp_path / "ordinary").touch()
    write_bytes_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_an_interrupted_write_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(b"old")
    with suppress(KeyboardInterrupt), atomic_writer(path) as file:
        file.write(b"half of the n")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["metrics"]


def test_the_old_file_is_read_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics"
    path.write_bytes(b"old")
    with atomic_writer(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_missing_directory_is_a_storage_error_with_place_and_cure(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"missing/x: cannot be written: .*create its directory"):
        write_bytes_atomically(tmp_path / "missing" / "x", b"")


@pytest.mark.parametrize("name", [".", "", "..", "/", "folder"])
def test_a_directory_is_refused_as_the_name_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    with pytest.raises(StorageError, match=r"^\S+: is a directory: give the name of a file"):
        write_bytes_atomically(Path(name), b"")
    assert os.listdir(tmp_path) == ["folder"]


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """Let the kernel refuse writes beyond `size` bytes, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_write_that_the_system_refuses_halfway_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "predictions"
    path.write_bytes(b"old")
    with _largest_file(4096), pytest.raises(StorageError, match="predictions") as caught:
        write_bytes_atomically(path, bytes(100_000))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["predictions"]
