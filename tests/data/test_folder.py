"""Folders of images: classes, splits, and errors."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from balpoe.data import (
    FinalSplits,
    Images,
    ImageSet,
    SearchSplits,
    load_final_splits,
    load_search_splits,
    load_test_images,
)
from balpoe.data.decoding.image_decoding import ImageShape, fit_image
from balpoe.data.decoding.streamed_images import StreamedImages
from balpoe.data.sources.folder import ImageFolder
from balpoe.errors import DataError, StorageError

Tree = Callable[..., Path]
COUNTS = {"cat": 12, "dog": 5, "eel": 2, "fox": 1}


def noise(seed: int, height: int = 9, width: int = 7, channels: int = 3) -> NDArray[np.uint8]:
    """Return random pixels, different for each seed."""
    generator = np.random.default_rng(seed)
    return generator.integers(256, size=(height, width, channels), dtype=np.uint8)


def images_of(split: str, counts: dict[str, int], seed: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Return files of different sizes and content."""
    names = [f"{split}{name}/{n}.png" for name, count in counts.items() for n in range(count)]
    return {name: noise(seed + n, 9 + n % 5, 8 + n % 7) for n, name in enumerate(names)}


def search(root: Path, **settings: Any) -> SearchSplits:
    return load_search_splits(ImageFolder(root=str(root), image_size=8, **settings))


def final(root: Path, **settings: Any) -> FinalSplits:
    return load_final_splits(ImageFolder(root=str(root), image_size=8, **settings))


def counts(images: Images) -> list[int]:
    return torch.bincount(images.labels_n).tolist()


def contents(images: Images) -> set[bytes]:
    return {image.tobytes() for image in images.images_nhwd.numpy()}


def test_one_tree_is_split_by_class_into_training_validation_and_test(tree: Tree) -> None:
    root = tree(images_of("", COUNTS))
    searched, trained = search(root), final(root)
    assert trained.description.class_names == ("cat", "dog", "eel", "fox")
    assert counts(trained.test) == [2, 1, 1]
    assert counts(trained.train) == [10, 4, 1, 1]
    assert counts(searched.train) == [9, 3, 1, 1]
    assert counts(searched.validation) == [1, 1]
    assert not contents(trained.train) & contents(trained.test)
    assert contents(searched.train) | contents(searched.validation) == contents(trained.train)
    assert len(contents(trained.train) | contents(trained.test)) == sum(COUNTS.values())


def test_only_the_subset_seed_changes_the_test_images_of_one_tree(tree: Tree) -> None:
    root = tree(images_of("", COUNTS))
    first = contents(final(root).test)
    assert contents(final(root, mean=(0.5,) * 3, std=(0.2,) * 3).test) == first
    assert contents(final(root, subset_seed=1).test) != first
    assert counts(final(root, test_share=0.5).test) == [6, 2, 1]


def test_the_images_are_those_of_the_files_fitted(tree: Tree) -> None:
    files = images_of("", {"cat": 4, "dog": 3})
    trained = final(tree(files))
    shape = ImageShape(8, 8, 3)
    expected = {fit_image(Image.fromarray(file), shape, "").tobytes() for file in files.values()}
    assert contents(trained.train) | contents(trained.test) == expected


def test_folders_train_val_and_test_are_the_splits(tree: Tree) -> None:
    root = tree(
        images_of("train/", COUNTS)
        | images_of("val/", {"cat": 3, "dog": 3}, seed=100)
        | images_of("test/", {"cat": 1, "dog": 1, "eel": 1, "fox": 4}, seed=200)
    )
    searched, trained = search(root), final(root)
    assert searched.description.class_counts == (12, 5, 2, 1)
    assert trained.description.class_counts == (15, 8, 2, 1)
    assert counts(searched.validation) == [3, 3]
    assert counts(trained.test) == [1, 1, 1, 4]
    with pytest.raises(DataError, match="validation_per_class: is only for sets without a val"):
        search(root, validation_per_class=1)


def test_a_balanced_folder_can_be_cut(tree: Tree) -> None:
    root = tree(
        images_of("train/", {"cat": 20, "dog": 20}) | images_of("test/", {"cat": 2, "dog": 2})
    )
    assert counts(final(root, imbalance_ratio=4).train) == [20, 5]
    assert counts(search(root, imbalance_ratio=4, validation_per_class=3).train) == [17, 5]


def test_a_search_never_opens_test_images(tree: Tree) -> None:
    root = tree(images_of("train/", COUNTS) | {f"test/{name}/1.png": b"" for name in COUNTS})
    search(root)
    with pytest.raises(DataError, match=r"test/cat/1\.png: the image cannot be decoded"):
        final(root)


def test_what_is_no_image_is_ignored_and_counted(tree: Tree) -> None:
    stray = [
        "notes.txt",
        "cat/labels.TXT",
        "cat/Thumbs.db",
        "cat/._0.png",
        ".DS_Store",
        "cat/film.mpg",
    ]
    root = tree(images_of("", {"cat": 3, "dog": 3}) | dict.fromkeys(stray, b"stray"))
    (root / ".git").mkdir()
    trained = final(root)
    assert len(trained.train) + len(trained.test) == 6
    (remark,) = trained.remarks
    assert remark.startswith("ignored, because they are not images: 2 .txt, ")
    assert sum(int(kind.split()[0]) for kind in remark.partition(": ")[2].split(", ")) == 6


def test_extensions_count_in_any_case_and_folders_in_a_class_belong_to_it(tree: Tree) -> None:
    files = {"cat/0.PNG": noise(0), "cat/2001/may/1.png": noise(1), "dog/0.png": noise(2)}
    trained = final(tree(files))
    assert [len(trained.train) + len(trained.test), trained.description.class_counts] == [3, (1, 1)]


def test_unreadable_images_are_refused_by_name_or_left_out_and_counted(tree: Tree) -> None:
    files: dict[str, NDArray[np.uint8] | bytes] = {**images_of("train/", COUNTS)}
    files |= images_of("test/", {"cat": 2, "dog": 2})
    root = tree(files)
    whole = (root / "train/cat/3.png").read_bytes()
    (root / "train/cat/3.png").write_bytes(whole[: len(whole) // 2])
    (root / "test/dog/1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"train/cat/3\.png: the image cannot be decoded"):
        final(root)
    trained = final(root, unreadable="skip")
    assert trained.description.class_counts == (11, 5, 2, 1)
    assert counts(trained.test) == [2, 1]
    assert [remark.partition(";")[0] for remark in trained.remarks] == [
        "1 of 20 training images are unreadable and left out",
        "1 of 4 test images are unreadable and left out",
    ]
    kept = {
        fit_image(Image.fromarray(file), ImageShape(8, 8, 3), "").tobytes()
        for name, file in files.items()
        if isinstance(file, np.ndarray) and name.startswith("train/") and name != "train/cat/3.png"
    }
    assert contents(trained.train) == kept


def test_a_class_whose_images_are_all_unreadable_is_refused(tree: Tree) -> None:
    root = tree(images_of("train/", COUNTS) | images_of("test/", COUNTS))
    (root / "train/cat/0.png").write_bytes(b"damaged")
    (root / "train/fox/0.png").write_bytes(b"damaged")
    with pytest.raises(
        DataError, match=r"1 training images of class 3 \(fox\) can be read; .*fox/0\.png"
    ):
        final(root, unreadable="skip")


def test_a_split_without_images_is_refused(tree: Tree) -> None:
    single = tree(images_of("", {"cat": 1, "dog": 1}), "single")
    with pytest.raises(DataError, match="there are no test images: add images"):
        final(single)
    with pytest.raises(DataError, match="there are no validation images: add images"):
        search(single)
    root = tree(images_of("train/", COUNTS) | {"test/cat/0.png": b"damaged"})
    with pytest.raises(DataError, match=r"there are no test images: none can be read; .*0\.png"):
        final(root, unreadable="skip")


def test_a_validation_folder_without_images_is_refused(tree: Tree) -> None:
    root = tree({**images_of("train/", COUNTS), **images_of("test/", COUNTS, seed=900)})
    (root / "val" / "cat").mkdir(parents=True)
    with pytest.raises(DataError, match="validation"):
        search(root)


def test_links_to_images_count_and_broken_ones_are_unreadable(tree: Tree, tmp_path: Path) -> None:
    root = tree(images_of("", {"cat": 3, "dog": 3}))
    shutil.move(root / "cat", tmp_path / "elsewhere")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    assert final(root).description.class_counts == (2, 2)
    (root / "dog/9.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"dog/9\.png: the image cannot be read \(No such file"):
        final(root)


def test_a_folder_that_links_to_one_above_is_refused(tree: Tree) -> None:
    root = tree(images_of("", {"cat": 3, "dog": 3}))
    (root / "cat/deeper").mkdir()
    (root / "cat/deeper/again").symlink_to(root / "cat")
    with pytest.raises(DataError, match="cat/deeper/again: links to a folder that contains it"):
        search(root)


@pytest.mark.parametrize(
    "names", [("猫", "собака"), ("café", "zèbre"), ("a b", "c'd"), ("🐈", "🐕")]
)
def test_names_in_any_script(tree: Tree, names: tuple[str, str]) -> None:
    root = tree(images_of("", dict.fromkeys(names, 4)), "图像 ü")
    assert search(root).description.class_names == tuple(sorted(names))
    broken = root / names[0] / "0.png"
    broken.write_bytes(b"")
    with pytest.raises(DataError, match=f"{names[0]}/0.png: the image cannot be decoded"):
        final(root)


def test_class_names_are_composed_and_sorted_by_code_points_whatever_the_disk_says(
    tree: Tree,
) -> None:
    stored = [unicodedata.normalize("NFD", "é"), "z", "Z", "10", "9"]
    root = tree(images_of("", dict.fromkeys([*stored[:2], *stored[3:]], 3)))
    assert search(root).description.class_names == ("10", "9", "z", "é")


def test_a_folder_whose_name_is_no_text_is_refused(tree: Tree) -> None:
    root = tree(images_of("", {"cat": 3, "dog": 3}))
    os.rename(root / "cat", os.fsencode(root) + b"/caf\xe9")
    with pytest.raises(DataError, match=r"tree/caf\?: the name is not UTF-8"):
        search(root)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("cat/0.png", "Cat/0.png"),
        ("cat/a.png", "cat/A.PNG"),
        ("é/0.png", unicodedata.normalize("NFD", "é") + "/0.png"),
    ],
)
def test_two_files_or_classes_of_one_name_are_refused(tree: Tree, first: str, second: str) -> None:
    root = tree(images_of("", {"dog": 3}) | {first: noise(1), second: noise(2)})
    with pytest.raises(DataError, match="the names differ only in case or Unicode normalisation"):
        search(root)


def test_a_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent: no such folder: data\.root"):
        search(tmp_path / "absent")


def test_an_empty_folder_and_images_without_classes(tree: Tree) -> None:
    root = tree({})
    with pytest.raises(DataError, match="tree: contains no folders: create a folder of images"):
        search(root)
    tree({"0.png": noise(0)})
    with pytest.raises(DataError, match="tree: contains no folders: create a folder of images"):
        search(root)


def test_an_empty_class(tree: Tree) -> None:
    root = tree(images_of("", COUNTS) | {"gnu/readme.txt": b""})
    with pytest.raises(DataError, match="tree/gnu: contains no image that Pillow reads: add imag"):
        search(root)


def test_the_wrong_level_is_refused(tree: Tree, tmp_path: Path) -> None:
    tree({f"tree/{name}": image for name, image in images_of("", COUNTS).items()}, "above")
    with pytest.raises(DataError, match=r"above: contains only one folder \(tree\)"):
        search(tmp_path / "above")


def test_training_images_without_test_images(tree: Tree) -> None:
    root = tree(images_of("train/", COUNTS))
    with pytest.raises(DataError, match=r"has train/, but no test/: add it, or name .*tree/train"):
        search(root)
    assert search(root / "train").description.class_names == tuple(COUNTS)


def test_a_folder_beside_the_splits_that_is_none_of_them(tree: Tree) -> None:
    root = tree(images_of("train/", COUNTS) | images_of("valid/", COUNTS))
    with pytest.raises(DataError, match="tree/valid: only test/ and val/ are allowed beside train"):
        search(root)


@pytest.mark.parametrize("names", [("Train", "Test"), ("training", "validation", "testing")])
def test_splits_under_other_names_are_not_taken_for_classes(
    tree: Tree, names: tuple[str, ...]
) -> None:
    root = tree({f"{name}/cat/{n}.png": noise(n) for name in names for n in range(3)})
    with pytest.raises(
        DataError, match=r"like splits \(.*\): name them train, val and test, and c"
    ):
        search(root)


def test_images_in_train_and_test_without_classes_are_refused(tree: Tree) -> None:
    root = tree({"train/0.png": noise(0), "test/0.png": noise(1)})
    with pytest.raises(DataError, match=r"the folders are named like splits \(test, train\)"):
        search(root)


def test_a_test_class_without_training_images(tree: Tree) -> None:
    root = tree(images_of("train/", COUNTS) | images_of("test/", {"cat": 1, "gnu": 1}))
    with pytest.raises(DataError, match="test/gnu: the training images have no class of this name"):
        search(root)


def test_a_class_may_be_called_train(tree: Tree) -> None:
    assert search(tree(images_of("", {"train": 3, "tram": 3}))).description.class_names == (
        "train",
        "tram",
    )


def test_sixteen_bits_are_refused_by_name_and_inks_become_colours(tree: Tree) -> None:
    root = tree(images_of("", {"cat": 5, "dog": 5}))
    Image.new("CMYK", (9, 9), (0, 255, 255, 0)).save(root / "cat/5.jpg")
    Image.new("L", (9, 9), 9).save(root / "cat/6.gif")
    final(root)
    Image.fromarray(np.full((9, 9), 40_000, dtype=np.uint16)).save(root / "dog/deep.png")
    with pytest.raises(DataError, match=r"dog/deep\.png: images of mode I;16 are not supported"):
        final(root)


def test_grey_and_colour_images_become_what_the_channels_say(tree: Tree) -> None:
    root = tree({"a/0.png": noise(0), "a/1.png": noise(1, channels=1), "b/0.png": noise(2)})
    for channels in (1, 3):
        found = final(root, channels=channels).description
        assert (found.height, found.width, found.channels) == (8, 8, channels)


def test_what_exceeds_the_memory_limit_is_streamed_and_is_the_same_data(tree: Tree) -> None:
    root = tree(images_of("", {"cat": 30, "dog": 30}))
    fitting = 60 * 8 * 8 * 3 / 2**30
    in_memory, streamed = final(root, in_memory_limit=fitting), final(root, in_memory_limit=1e-9)
    assert isinstance(in_memory.train, ImageSet)
    assert isinstance(final(root, in_memory_limit=fitting * 0.99).test, StreamedImages)
    assert streamed.description == in_memory.description


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_may_not_be_read(tree: Tree) -> None:
    root = tree(images_of("", COUNTS))
    (root / "cat").chmod(0)
    with pytest.raises(StorageError, match="cat: cannot be read: Permission denied"):
        search(root)


@pytest.mark.parametrize("is_split", [True, False])
def test_the_test_images_can_be_had_alone(tree: Tree, is_split: bool) -> None:
    splits = ("train/", "test/") if is_split else ("",)
    root = tree({k: v for n, of in enumerate(splits) for k, v in images_of(of, COUNTS, n).items()})
    alone = load_test_images(ImageFolder(root=str(root), image_size=8))
    whole = final(root).test
    assert torch.equal(alone.images_nhwd, whole.images_nhwd)
    assert torch.equal(alone.labels_n, whole.labels_n)
