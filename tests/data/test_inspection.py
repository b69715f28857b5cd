"""Inspection of sources: counts, sizes, unreadable images and duplicates."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from balpoe.data.command_line_source import SourceOptions, open_source
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.inspection import Inspection, inspect_source
from balpoe.errors import DataError

Tree = Callable[..., Path]
WriteParquet = Callable[..., str]


def noise(seed: int, height: int = 9, width: int = 7, channels: int = 3) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    return generator.integers(256, size=(height, width, channels), dtype=np.uint8)


def inspect(*paths: Path | str, threads: int = 2, root: Path | None = None) -> Inspection:
    return inspect_source(
        open_source([Path(path) for path in paths], SourceOptions(root=root)), threads
    )


def splits(**counts: dict[str, int]) -> dict[str, NDArray[np.uint8] | bytes]:
    names = [
        f"{s}/{c}/{n}.png" for s, of in counts.items() for c, k in of.items() for n in range(k)
    ]
    return {name: noise(seed) for seed, name in enumerate(names)}


def test_counts_ratio_shots_and_near_empty_classes(tree: Tree) -> None:
    root = tree(splits(train={"a": 120, "b": 24, "c": 4, "d": 1}, test={"a": 2, "c": 1}))
    found = inspect(root)
    assert found.class_names == ("a", "b", "c", "d")
    assert {split: of.class_counts for split, of in found.splits.items()} == {
        "train": (120, 24, 4, 1),
        "test": (2, 0, 1, 0),
    }
    assert found.imbalance_ratio == 120
    assert found.shots == {"many": (0,), "medium": (1,), "few": (2, 3)}
    assert found.near_empty == (2, 3)
    assert found.duplicates == ()


def test_sizes_and_channels_are_those_of_the_files(tree: Tree) -> None:
    files = splits(train={"a": 3, "b": 2}, test={"a": 1})
    files["train/a/9.png"] = noise(9, 20, 30)
    files["train/b/9.png"] = noise(8, channels=1)
    shapes = inspect(tree(files)).splits["train"].shapes
    assert shapes == {ImageShape(9, 7, 3): 5, ImageShape(20, 30, 3): 1, ImageShape(9, 7, 1): 1}


def test_unreadable_and_ignored_files_are_named_and_counted(tree: Tree) -> None:
    files = splits(train={"a": 2, "b": 2}, test={"a": 1, "b": 1})
    files |= {"train/b/1.png": b"damaged", "test/a/0.png": b"", "train/notes.txt": b"", "x.md": b""}
    found = inspect(tree(files))
    assert [found.splits[split].images for split in ("train", "test")] == [4, 2]
    assert [len(found.splits[split].unreadable) for split in ("train", "test")] == [1, 1]
    assert "train/b/1.png: the image cannot be decoded" in found.splits["train"].unreadable[0]
    assert found.ignored == {".txt": 1, ".md": 1}


def bmp(image: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "BMP")
    return buffer.getvalue()


def test_twins_are_found_within_and_between_splits_however_they_are_encoded(tree: Tree) -> None:
    files = splits(train={"a": 3, "b": 3}, test={"a": 2, "b": 2})
    files["train/a/twin.bmp"] = bmp(noise(100))
    files["train/a/twin.png"] = noise(100)
    files["test/a/leak.bmp"] = bmp(noise(0))
    files["train/b/wrong.png"] = noise(1)
    root = tree(files)
    found = inspect(root)
    groups = {
        frozenset(str(Path(copy.place).relative_to(root)) for copy in group.copies): group
        for group in found.duplicates
    }
    within = groups.pop(frozenset({"train/a/twin.bmp", "train/a/twin.png"}))
    between = groups.pop(frozenset({"train/a/0.png", "test/a/leak.bmp"}))
    disagreeing = groups.pop(frozenset({"train/a/1.png", "train/b/wrong.png"}))
    assert groups == {}
    assert [g.cross_splits for g in (within, between, disagreeing)] == [False, True, False]
    assert [g.disagree for g in (within, between, disagreeing)] == [False, False, True]


def test_one_pixel_or_another_size_makes_another_image(tree: Tree) -> None:
    changed = noise(1)
    changed[0, 0, 0] ^= 1
    flat = np.zeros((6, 4, 3), dtype=np.uint8)
    files = {
        "a/0.png": noise(1),
        "a/1.png": changed,
        "b/0.png": flat,
        "b/1.png": flat.reshape(4, 6, 3),
    }
    assert inspect(tree(files)).duplicates == ()


def test_threads_change_nothing(tree: Tree) -> None:
    files = splits(train={"a": 90, "b": 70}, test={"a": 3, "b": 3})
    files |= {f"train/a/again_{n}.png": noise(n % 7) for n in range(20)}
    root = tree(files)
    assert inspect(root, threads=1) == inspect(root, threads=5)


def test_parquet_files_and_lists_are_inspected_like_folders(
    tree: Tree, write_parquet: WriteParquet
) -> None:
    train = write_parquet("one", [noise(0), noise(1), noise(0)], [0, 1, 1], class_names=("a", "b"))
    test = write_parquet("two", [noise(1), b"damaged"], [0, 1], class_names=("a", "b"))
    found = inspect(train, test)
    assert [of.class_counts for of in found.splits.values()] == [(1, 2), (1, 1)]
    assert [len(group.copies) for group in found.duplicates] == [2, 2]
    assert found.splits["test"].unreadable[0].startswith(f"{test}, row 1: the image cannot")
    assert list(inspect(train).splits) == ["train"]
    assert list(inspect(train, test, test).splits) == ["train", "validation", "test"]

    root = tree({"0.png": noise(0), "1.png": noise(1)})
    (root / "list.txt").write_text("0.png 0\n1.png 1\n")
    listed = inspect(root / "list.txt", root=root)
    assert listed.splits["train"].class_counts == (1, 1)


def test_sources_that_cannot_be_opened(tree: Tree, write_parquet: WriteParquet) -> None:
    path = write_parquet("one", [noise(0)], [0])
    a_list = tree({"list.txt": b"0.png 0\n"}) / "list.txt"
    for name in ("absent", "absent.v2"):
        with pytest.raises(DataError, match=rf"{name}: no such file or folder: give an"):
            inspect(Path(path).parent / name)
    with pytest.raises(DataError, match=r"absent\.parquet: no such file"):
        inspect(Path(path).parent / "absent.parquet")
    with pytest.raises(DataError, match=r"list\.txt: a list needs --root"):
        inspect(a_list)
    with pytest.raises(DataError, match=r"nowhere: no such folder: --root must be the folder"):
        inspect(a_list, root=Path("nowhere"))
    with pytest.raises(DataError, match="4 sources: give one folder, or one to three files"):
        inspect(path, path, path, path)


def test_hints_name_the_options_of_the_commands(tree: Tree, write_parquet: WriteParquet) -> None:
    path = write_parquet("one", [noise(0)], [0], columns=("picture", "label"))
    with pytest.raises(DataError, match=r"no column 'image' among .*: name it in --image-column$"):
        inspect(path)
    root = tree(splits(train={"a": 1, "b": 1}))
    with pytest.raises(DataError, match=r"name \S+train as SOURCE to split off test images"):
        inspect(root)


def test_published_counts_are_asked_of_lists_alone(tree: Tree, write_parquet: WriteParquet) -> None:
    root = tree({"0.png": noise(0), "1.png": noise(1), "list.txt": b"0.png 0\n1.png 1\n"})
    options = SourceOptions(root=root, expected="imagenet_lt")
    message = r"list\.txt: imagenet_lt has 115,846 images, .* has 2: .*, or leave out --expected$"
    with pytest.raises(DataError, match=message):
        open_source([root / "list.txt"], options)
    for other in (root, Path(write_parquet("one", [noise(0)], [0]))):
        with pytest.raises(DataError, match=r"is not a list, .* or leave out --expected$"):
            open_source([other], options)


def test_pipes_are_no_images(tree: Tree) -> None:
    root = tree(splits(train={"a": 2, "b": 2}, test={"a": 1, "b": 1}))
    os.mkfifo(root / "train/a/pipe.png")
    (root / "train/a/link.png").symlink_to(root / "train/a/pipe.png")
    found = inspect(root)
    assert found.splits["train"].class_counts == (2, 2)
    assert found.ignored == {".png": 2}


def test_a_pipe_in_a_list_is_unreadable(tree: Tree) -> None:
    root = tree({"0.png": noise(0), "list.txt": b"0.png 0\n1.png 1\n"})
    os.mkfifo(root / "1.png")
    (fault,) = inspect(root / "list.txt", root=root).splits["train"].unreadable
    assert fault.endswith("1.png): is a pipe, socket or device: give a regular file")


def test_a_name_with_a_line_break_stays_on_its_line(tree: Tree) -> None:
    files = splits(train={"a": 2, "b": 2}, test={"a": 1, "b": 1})
    (fault,) = inspect(tree(files | {"train/a/x\ny.png": b"damaged"})).splits["train"].unreadable
    assert "\n" not in fault
    assert r"train/a/x\ny.png: the image cannot be decoded" in fault
