"""Lists of images: format of ImageNet-LT and iNaturalist, counts and errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from balpoe.data import (
    FinalSplits,
    SearchSplits,
    load_final_splits,
    load_search_splits,
    load_test_images,
)
from balpoe.data.sources.image_list import ImageList
from balpoe.data.sources.image_list.published import require_published
from balpoe.errors import DataError, StorageError

Tree = Callable[..., Path]
TRAIN = "train/n01/a.png 0\ntrain/n01/b c.png 0\ntrain/n02/猫.png 1\ntrain/n02/d.png 1\n"
TEST = "val/0.png 0\nval/1.png 1\n"


@pytest.fixture
def root(tree: Tree) -> Path:
    """Write the images of TRAIN and TEST, of constant grey 10, 20, … in listed order."""
    names = [line.rpartition(" ")[0] for line in (TRAIN + TEST).splitlines()]
    greys = [np.full((9, 7, 3), 10 * n, dtype=np.uint8) for n in range(1, len(names) + 1)]
    return tree(dict(zip(names, greys, strict=True)), "images")


def config(root: Path, train: str = TRAIN, test: str = TEST, **settings: Any) -> ImageList:
    lists = {"train": train, "test": test}
    for name, text in lists.items():
        (root.parent / f"{name}.txt").write_text(text, encoding="utf-8")
    train, test = (str(root.parent / f"{name}.txt") for name in lists)
    return ImageList(root=str(root), image_size=8, train=train, test=test, **settings)


def final(root: Path, **settings: Any) -> FinalSplits:
    return load_final_splits(config(root, **settings))


def search(root: Path, **settings: Any) -> SearchSplits:
    return load_search_splits(config(root, **settings))


def test_images_and_labels_are_those_of_the_lines(root: Path) -> None:
    splits = final(root)
    assert splits.train.images_nhwd[:, 0, 0, 0].tolist() == [10, 20, 30, 40]
    assert splits.train.labels_n.tolist() == [0, 0, 1, 1]
    assert splits.test.images_nhwd[:, 0, 0, 0].tolist() == [50, 60]
    assert splits.description.class_names == ("0", "1")
    assert splits.train.images_nhwd.shape == (4, 8, 8, 3)


def test_the_test_images_can_be_had_alone(root: Path) -> None:
    settings, whole = config(root), final(root)
    (root / "train/n01/a.png").write_bytes(b"no image")
    alone = load_test_images(settings)
    assert torch.equal(alone.images_nhwd, whole.test.images_nhwd)
    assert torch.equal(alone.labels_n, whole.test.labels_n)


@pytest.mark.parametrize(
    "text",
    ["\ufeff" + TRAIN, TRAIN.replace(" ", "\t"), TRAIN.replace("\n", "\r\n\r\n"), TRAIN.rstrip()],
)
def test_blank_lines_tabs_and_windows_endings_do_not_matter(root: Path, text: str) -> None:
    text = text.replace("b\tc", "b c")
    assert final(root, train=text).train.labels_n.tolist() == [0, 0, 1, 1]


def test_a_search_takes_validation_from_training_or_from_its_own_list(root: Path) -> None:
    natural = search(root, test="never read")
    assert torch.bincount(natural.validation.labels_n).tolist() == [1, 1]
    own = root.parent / "own.txt"
    own.write_text(TEST)
    searched = search(root, validation=str(own))
    assert searched.description.class_counts == (2, 2)
    assert searched.validation.images_nhwd[:, 0, 0, 0].tolist() == [50, 60]


@pytest.mark.parametrize(
    "line", ["a.png", "0", "a.png -1", "a.png 1.5", "a.png cat", "a.png 99999999999999999999"]
)
def test_a_line_that_is_no_path_and_label_is_refused_with_its_number(root: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"train\.txt:6: must be a path, a space and a class index"):
        final(root, train=f"{TRAIN}\n{line}\n")


def test_a_path_with_a_nul_byte_is_refused_with_its_line(root: Path) -> None:
    message = (
        r"train\.txt:5: must be a path without a NUL byte, got \"x\\u0000\.png\": write the list"
    )
    with pytest.raises(DataError, match=message):
        final(root, train=f"{TRAIN}x\0.png 0\n")


def test_an_absolute_path_is_one_image_with_a_relative_one_also_below_a_relative_root(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(root, test=f"{TEST}{root}/train/n01/a.png 0\n")
    monkeypatch.chdir(root.parent)
    with pytest.raises(DataError, match=r"test\.txt:3 .* is already listed"):
        load_final_splits(replace(settings, root=root.name))


def test_a_label_beyond_the_classes(root: Path) -> None:
    with pytest.raises(DataError, match=r"test\.txt:2 \(.*val/1\.png\): label 7 is out of range"):
        final(root, test=TEST.replace("1.png 1", "1.png 7"))
    with pytest.raises(DataError, match=r"train\.txt:5 .*: label 70 is out of range: it must be"):
        final(root, train=TRAIN + "x.png 70\n")


def test_a_class_without_images(root: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: class 1 \(1\) has no training image"):
        final(root, train=TRAIN.replace(" 1\n", " 2\n"))


def test_a_missing_root_list_or_image(root: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such folder: data\.root"):
        final(root.parent / "absent")
    missing = ImageList(root=str(root), train="absent.txt", test="absent.txt")
    with pytest.raises(DataError, match=r"absent\.txt: no such file: data\.train"):
        load_final_splits(missing)
    with pytest.raises(DataError, match=r"train\.txt:5 \(.*x\.png\): the image cannot be read"):
        final(root, train=TRAIN + "x.png 1\n")
    skipped = final(root, train=TRAIN + "x.png 1\n", unreadable="skip")
    assert skipped.description.class_counts == (2, 2)
    assert skipped.remarks[0].startswith("1 of 5 training images are unreadable and left out")


def test_a_file_that_is_no_list(root: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: lists no images"):
        final(root, train="\n \n")
    settings = config(root)
    Path(settings.train).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"train\.txt: is not UTF-8 text"):
        load_final_splits(settings)
    directory = ImageList(root=str(root), train=str(root), test=str(root))
    with pytest.raises(StorageError, match="images: cannot be read: Is a directory"):
        load_final_splits(directory)


@pytest.mark.parametrize(
    "again",
    [
        "train/n01/a.png",
        "TRAIN/N01/A.PNG",
        "./train/n01/a.png",
        "train//n01/a.png",
        "val/../train/n01/a.png",
        "{root}/train/n01/a.png",
    ],
)
def test_a_file_that_is_listed_twice_or_in_training_and_test(root: Path, again: str) -> None:
    again = again.format(root=root)
    with pytest.raises(DataError, match=r"train\.txt:5 .* is already listed as .*train\.txt:1 "):
        final(root, train=f"{TRAIN}{again} 1\n")
    with pytest.raises(DataError, match=r"test\.txt:3 .* is already listed as .*train\.txt:1 "):
        final(root, test=f"{TEST}{again} 0\n")


def published(classes: int, images: int, largest: int, smallest: int) -> np.ndarray:
    """Return the labels of a training list with these counts."""
    between, more = divmod(images - largest - smallest, classes - 2)
    counts = [largest, *[between + 1] * more, *[between] * (classes - 2 - more), smallest]
    return np.repeat(np.arange(classes), counts)


def test_lists_with_the_published_counts_pass() -> None:
    require_published("imagenet_lt", "train", published(1000, 115_846, 1280, 5), "train.txt")
    require_published("imagenet_lt", "validation", np.repeat(np.arange(1000), 20), "val.txt")
    require_published("imagenet_lt", "test", np.repeat(np.arange(1000), 50), "test.txt")
    require_published("inaturalist2018", "train", published(8142, 437_513, 1000, 2), "train.txt")
    require_published("inaturalist2018", "test", np.repeat(np.arange(8142), 3), "val.txt")


@pytest.mark.parametrize(
    ("labels_n", "message"),
    [
        (published(1000, 115_845, 1280, 5), "has 115,846 images, but this list has 115,845"),
        (published(999, 115_846, 1280, 5), "has 1,000 classes, but this list has 999"),
        (published(1000, 115_846, 1281, 5), "1,280 images in the largest class, but .* 1,281"),
        (published(1000, 115_846, 1280, 4), "5 images in the smallest class, but .* 4"),
    ],
)
def test_a_list_with_other_counts_than_published_is_refused(
    labels_n: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        require_published("imagenet_lt", "train", labels_n, "train.txt")


def test_a_list_that_claims_to_be_a_published_one(root: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt: imagenet_lt has 115,846 images, .* has 4:"):
        search(root, expected="imagenet_lt")
    with pytest.raises(DataError, match=r"data\.validation: inaturalist2018 has no such list"):
        require_published("inaturalist2018", "validation", np.zeros(3, dtype=np.int64), "val.txt")
