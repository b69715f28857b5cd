"""Prepared Parquet files: same images as in training, complete files only."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

from balpoe.config.data import Unreadable
from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.command_line_source import SourceOptions, open_source
from balpoe.data.preparation import Preparation, PreparedFile, prepare_split
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.parquet import ParquetImages
from balpoe.errors import DataError, StorageError
from tests.data.deep_images import deep_png

Tree = Callable[..., Path]


@pytest.fixture
def root(tree: Tree) -> Path:
    """Return classes of 20, 9 and 2 images of several sizes, some of them grey."""
    generator = np.random.default_rng(0)
    counts = {"кот": 20, "dog": 9, "eel": 2}
    files: dict[str, NDArray[np.uint8]] = {}
    for name, count in counts.items():
        for n in range(count):
            height, width = generator.integers(6, 300, size=2)
            size = (height, width, 1 if n % 4 == 3 else 3)
            files[f"{name}/{n}.png"] = generator.integers(256, size=size, dtype=np.uint8)
    return tree(files)


def prepare(
    root: Path, size: int, *, channels: int = 3, unreadable: Unreadable = "refuse", threads: int = 2
) -> dict[str, PreparedFile]:
    source = open_source([root], SourceOptions())
    preparation = Preparation(size=size, channels=1 if channels == 1 else 3, unreadable=unreadable)
    return {
        split: prepare_split(
            images, source.class_names, root.parent / f"{split}.parquet", preparation, threads
        )
        for split, images in source.splits.items()
    }


def images(path: Path) -> list[Image.Image]:
    column = pq.read_table(path)["image"].to_pylist()
    return [Image.open(io.BytesIO(image["bytes"])) for image in column]


@pytest.mark.parametrize(("size", "channels"), [(8, 3), (32, 1), (64, 3)])
def test_up_to_64_pixels_training_sees_the_same_as_from_the_folder(
    root: Path, size: int, channels: int
) -> None:
    files = prepare(root, size, channels=channels)
    train, test = (str(files[split].path) for split in ("train", "test"))
    prepared = ParquetImages(train=train, test=test)
    folder = ImageFolder(root=str(root), image_size=size, channels=1 if channels == 1 else 3)
    for load in (load_search_splits, load_final_splits):
        assert load(prepared).description == load(folder).description


def test_above_64_pixels_images_are_jpeg_keep_their_proportions_and_never_grow(root: Path) -> None:
    files = prepare(root, 100)
    originals = {Image.open(path).size: path for path in root.rglob("*.png")}
    for image in images(files["train"].path):
        assert image.format == "JPEG"
        assert image.mode == "RGB"
        shorter = min(image.size)
        candidates = [
            size
            for size in originals
            if size == image.size
            or (
                shorter == 100 < min(size)
                and np.allclose(np.divide(size, image.size), min(size) / 100, rtol=0.01)
            )
        ]
        assert candidates
        assert shorter <= 100


def test_jpeg_images_are_near_the_originals(tree: Tree) -> None:
    y, x = np.mgrid[:240, :360]
    smooth = np.stack([y % 256, x % 256, (x + y) // 4], axis=-1).astype(np.uint8) // 2 + 64
    root = tree({"a/0.png": smooth, "a/1.png": smooth.copy(), "b/0.png": smooth, "b/1.png": smooth})
    files = prepare(root, 120)
    halved = Image.fromarray(smooth).resize((180, 120), Image.Resampling.BILINEAR)
    difference = np.asarray(images(files["train"].path)[0], dtype=int) - np.asarray(halved)
    assert np.abs(difference).mean() < 4


def test_the_convention_and_its_metadata_are_those_of_hugging_face(root: Path) -> None:
    files = prepare(root, 16)
    schema = pq.read_schema(files["train"].path)
    assert str(schema.field("image").type) == "struct<bytes: binary, path: string>"
    # the metadata that `datasets` 5.2 reads in Features.from_arrow_schema
    assert json.loads(schema.metadata[b"huggingface"]) == {
        "info": {
            "features": {
                "image": {"_type": "Image"},
                "label": {"names": ["dog", "eel", "кот"], "_type": "ClassLabel"},
            }
        }
    }
    pages = pq.ParquetFile(files["train"].path, page_checksum_verification=True)
    assert pages.metadata.num_rows == files["train"].images


def test_row_groups_bound_the_memory_and_threads_change_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("balpoe.data.preparation._ROWS_PER_GROUP", 7)
    first = prepare(root, 16, threads=1)["train"].path
    content = first.read_bytes()
    groups = pq.ParquetFile(first).metadata
    assert [groups.row_group(g).num_rows for g in range(groups.num_row_groups)] == [7, 7, 7, 4]
    assert prepare(root, 16, threads=4)["train"].path.read_bytes() == content


def test_an_unreadable_image_leaves_no_file_or_is_skipped_and_counted(root: Path) -> None:
    (root / "dog/1.png").write_bytes(b"damaged")
    (root / "dog/2.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"dog/[12]\.png: the image cannot be decoded"):
        prepare(root, 16)
    assert not list(root.parent.glob("*train.parquet*"))
    files = prepare(root, 16, unreadable="skip")
    assert sum(file.images for file in files.values()) == 29
    assert sum(len(file.unreadable) for file in files.values()) == 2
    assert pq.read_table(files["train"].path).num_rows == files["train"].images


def test_colours_of_sixteen_bits_are_skipped_like_what_is_unreadable(root: Path) -> None:
    (root / "dog/1.png").write_bytes(deep_png(3))
    with pytest.raises(DataError, match=r"dog/1\.png: images of mode RGB;16B are not supported"):
        prepare(root, 16)
    files = prepare(root, 80, unreadable="skip")
    assert sum(file.images for file in files.values()) == 30
    (fault,) = (fault for file in files.values() for fault in file.unreadable)
    assert "dog/1.png: images of mode RGB;16B" in fault


def test_a_source_without_readable_images_is_refused(tree: Tree) -> None:
    root = tree({f"{name}/{n}.png": b"damaged" for name in "ab" for n in range(3)})
    with pytest.raises(DataError, match=r"train\.parquet: no image could be decoded; the first"):
        prepare(root, 16, unreadable="skip")
    assert not list(root.parent.glob("*.parquet"))


def test_a_directory_that_cannot_be_written(root: Path) -> None:
    source = open_source([root], SourceOptions())
    absent = root.parent / "absent" / "train.parquet"
    with pytest.raises(StorageError, match="cannot be written"):
        prepare_split(source.splits["train"], source.class_names, absent, Preparation(size=8), 1)
