from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch

from balpoe.data import load_final_splits
from balpoe.data.decoding.decoded_images import Decoding, decode_rows
from balpoe.data.decoding.encoded_images import LabelledImages
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.decoding.streamed_images import StreamedImages, stream_rows
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.sources.parquet.image_file import LabelledImageFile
from balpoe.errors import DataError, StorageError, WorkerDied
from balpoe.method.long_tailed_counts import Indices

WriteParquet = Callable[..., str]
Numbered = Callable[..., list[np.ndarray]]
Tree = Callable[..., Path]
MakeStream = Callable[..., StreamedImages]


@pytest.fixture
def source(write_parquet: WriteParquet, numbered_images: Numbered) -> LabelledImages:
    """Write a file of 40 images of 6x4 in row groups of 7."""
    path = write_parquet("train", numbered_images(40), [row % 3 for row in range(40)])
    file = LabelledImageFile(path, "image", "label")
    return LabelledImages(file, file.labels())


@pytest.fixture
def stream(source: LabelledImages) -> MakeStream:
    def make(
        rows: Indices | None = None, *, workers: int = 2, skipped: bool = False
    ) -> StreamedImages:
        decoding = Decoding(ImageShape(6, 4, 3), fitted=False, skipped=skipped, threads=workers)
        return stream_rows(source, np.arange(40) if rows is None else rows, decoding)

    return make


def children() -> set[int]:
    """Return the child processes that were not waited for."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for children in lists for pid in children.read_text().split()}


def is_running(pid: str) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return "State:\tZ" not in Path("/proc", pid, "status").read_text()
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stream_has_the_bytes_that_memory_would_have(
    source: LabelledImages, stream: MakeStream, workers: int
) -> None:
    rows = np.random.default_rng(0).permutation(40)[:30]
    images = stream(rows, workers=workers)
    in_memory = decode_rows(source.source, rows, images.decoding).images_nhwd
    assert torch.equal(images.images_nhwd, in_memory)
    order = np.random.default_rng(1).permutation(30)
    parts = [order[:11], order[11:12], order[12:23], order[23:]]
    with closing(images.batches(parts, 11)) as batches:
        for part, batch_bhwd in zip(parts, batches, strict=True):
            assert torch.equal(batch_bhwd, in_memory[torch.from_numpy(part)])
    assert torch.equal(images.labels_n, torch.from_numpy(source.labels_n[rows]))
    assert torch.equal(images.first(7).images_nhwd, in_memory[:7])


def test_labels_take_the_smallest_type_that_holds_them(source: LabelledImages) -> None:
    decoding = Decoding(ImageShape(6, 4, 3), fitted=False, skipped=False, threads=1)
    for largest, smallest in ((255, torch.uint8), (256, torch.int16), (40_000, torch.int32)):
        labels_n = np.linspace(0, largest, 40).astype(np.int64)
        images = stream_rows(LabelledImages(source.source, labels_n), np.arange(40), decoding)
        assert images.compact_labels_n.dtype == smallest
        assert images.labels_n.tolist() == labels_n.tolist()


@pytest.mark.parametrize("measured", [True, False])
def test_splits_are_described_alike_in_memory_and_streamed(
    write_parquet: WriteParquet, numbered_images: Numbered, measured: bool
) -> None:
    images, labels = numbered_images(40), [row % 2 for row in range(40)]
    images[6] = images[6][:, :, :1]  # grey becomes colour
    encoded = [*images[:39], b"no image"]
    path = write_parquet("train", encoded, labels, class_names=("cat", "dog"))
    given = None if measured else (0.5, 0.5, 0.5)

    def load(limit: float) -> ParquetImages:
        return ParquetImages(
            train=path, test=path, mean=given, std=given, unreadable="skip", in_memory_limit=limit
        )

    in_memory, streamed = load_final_splits(load(1)), load_final_splits(load(1e-9))
    assert isinstance(streamed.train, StreamedImages)
    assert streamed.description == in_memory.description
    assert streamed.remarks == in_memory.remarks
    assert torch.equal(streamed.train.images_nhwd, in_memory.train.images_nhwd)
    assert torch.equal(streamed.test.labels_n, in_memory.test.labels_n)


def test_an_unreadable_image_is_refused_by_name(
    write_parquet: WriteParquet, numbered_images: Numbered
) -> None:
    images = [*numbered_images(9), b"no image"]
    path = write_parquet("train", images, [row % 2 for row in range(10)])
    with pytest.raises(DataError, match=r"train\.parquet, row 9: the image cannot be decoded"):
        load_final_splits(ParquetImages(train=path, test=path, in_memory_limit=1e-9))


def test_a_file_that_is_damaged_or_gone_later_is_named(
    tree: Tree, numbered_images: Numbered
) -> None:
    files = {
        f"{split}/{y}/{i}.png": image
        for split in ("train", "test")
        for y in "ab"
        for i, image in enumerate(numbered_images(3))
    }
    root = tree(files)
    train = load_final_splits(ImageFolder(root=str(root), in_memory_limit=1e-9)).train
    assert isinstance(train, StreamedImages)
    (root / "train/b/1.png").write_bytes(b"damaged")
    (root / "train/b/2.png").unlink()
    with pytest.raises(DataError, match=r"train/b/1\.png: the image cannot be decoded"):
        list(train.in_order(5))
    with pytest.raises(DataError, match=r"train/b/2\.png: the image cannot be read"):
        list(train.batches([np.array([5])], 1))


def test_a_killed_process_is_no_fault_of_the_data(stream: MakeStream) -> None:
    images, before = stream(), children()
    with closing(images.in_order(2)) as batches:
        next(batches)
        os.kill(min(children() - before), signal.SIGKILL)
        with pytest.raises(WorkerDied, match="killed by signal 9"):
            list(batches)


def test_a_stream_that_is_left_early_leaves_no_process(stream: MakeStream) -> None:
    before = children()
    batches = stream().in_order(2)
    next(batches)
    assert len(children() - before) == 2
    batches.close()
    assert children() == before


def test_the_processes_end_with_the_one_that_started_them(
    write_parquet: WriteParquet, numbered_images: Numbered
) -> None:
    path = write_parquet("train", numbered_images(40), [row % 2 for row in range(40)])
    program = f"""
import os, signal, sys
from pathlib import Path
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data import load_final_splits

splits = load_final_splits(ParquetImages(train={path!r}, test={path!r}, in_memory_limit=1e-9))
batches = splits.train.in_order(1)
next(batches)
print(*(pid for task in Path("/proc/self/task").glob("*/children")
        for pid in task.read_text().split()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert ran.returncode == -signal.SIGKILL
    orphans = ran.stdout.split()
    assert orphans
    deadline = time.monotonic() + 20
    while any(map(is_running, orphans)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_space_for_the_stream_the_place_and_the_cure_are_told(
    stream: MakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(StorageError, match=r"/nowhere: .* set TMPDIR"):
        stream()


def test_a_decoding_process_loads_no_torch() -> None:
    program = (
        "import sys, balpoe.data.decoding.decoding_worker;"
        "print([name for name in ('torch', 'pyarrow', 'pydantic') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
