"""Names of images: memory use and round trip."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.data.decoding.image_names import PackedNames
from balpoe.data.encoded_splits import SearchImages
from balpoe.data.sources.folder import ImageFolder
from balpoe.data.sources.folder.images import FolderSource
from balpoe.data.sources.image_list import ImageList
from balpoe.data.sources.image_list.images import ListSource

IMAGES = 4000
NAME = "train/n00000000/n00000000_00000.JPEG"

as_on_disk = st.binary(max_size=20).map(lambda raw: os.fsdecode(raw))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])) | as_on_disk))
def test_names_come_back_as_they_were_also_where_they_are_no_utf_8(names: list[str]) -> None:
    packed = PackedNames(names)
    assert list(packed) == names
    assert [packed[number] for number in range(len(packed))] == names


def a_list(path: Path) -> Callable[[], SearchImages]:
    train, test = path / "train.txt", path / "test.txt"
    lines = (f"train/n{n % 20:08}/n{n % 20:08}_{n:05}.JPEG {n % 20}" for n in range(IMAGES))
    train.write_text("\n".join(lines))
    test.write_text("val/0.JPEG 0\n")
    config = ImageList(root=str(path), image_size=8, train=str(train), test=str(test))
    return ListSource(config).search_images


def a_tree(path: Path) -> Callable[[], SearchImages]:
    for n in range(IMAGES):
        file = path / f"n{n % 20:08}" / f"in_train_n{n % 20:08}_{n:05}.JPEG"
        file.parent.mkdir(exist_ok=True)
        file.touch()
    return FolderSource(ImageFolder(root=str(path), image_size=8)).search_images


@pytest.mark.parametrize("source", [a_list, a_tree])
def test_finding_images_takes_little_more_memory_than_twice_their_names(
    tmp_path: Path, source: Callable[[Path], Callable[[], SearchImages]]
) -> None:
    find = source(tmp_path)
    find()  # warm-up: caches such as Pillow's list of formats
    tracemalloc.start()
    found = find()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.train) > 0.7 * IMAGES
    assert peak / IMAGES < 2 * len(NAME) + 72
    assert kept / IMAGES < len(NAME) + 40
