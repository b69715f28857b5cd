"""Splits of Parquet images: published counts of real data, exact content of small files."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from balpoe.data import Images, load_final_splits, load_search_splits
from balpoe.data.decoding.decoded_images import Decoding, decode_rows
from balpoe.data.decoding.image_decoding import ImageShape, fit_image
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.sources.parquet.image_file import LabelledImageFile
from balpoe.errors import DataError, InvalidFields
from balpoe.method.long_tailed_counts import class_counts, cut_indices

CIFAR_10_IR_100 = (5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50)

WriteParquet = Callable[..., str]
NumberedImages = Callable[..., list[np.ndarray]]


def counts(images: Images) -> list[int]:
    return torch.bincount(images.labels_n).tolist()


def rows(images: Images) -> list[int]:
    return images.images_nhwd[:, 0, 0, 0].tolist()


def test_final_training_on_cifar_10_has_the_papers_12406_images(cifar10: tuple[str, str]) -> None:
    train, test = cifar10
    splits = load_final_splits(ParquetImages(train=train, test=test, imbalance_ratio=100))
    assert splits.description.class_counts == CIFAR_10_IR_100
    assert counts(splits.train) == list(CIFAR_10_IR_100)
    assert len(splits.train) == 12406
    assert counts(splits.test) == [1000] * 10
    assert splits.train.images_nhwd.shape == (12406, 32, 32, 3)

    table = pq.read_table(train)
    chosen = cut_indices(table["label"].to_numpy(), CIFAR_10_IR_100, seed=0)
    for position in (0, 5000, 12405):
        encoded = table["image"][int(chosen[position])]["bytes"].as_py()
        expected = torch.from_numpy(np.array(Image.open(io.BytesIO(encoded))))
        assert torch.equal(splits.train.images_nhwd[position], expected)


def test_a_search_on_cifar_10_caps_the_head_to_leave_500_validation_images_a_class(
    cifar10: tuple[str, str],
) -> None:
    train, _ = cifar10
    config = ParquetImages(train=train, test="never_opened.parquet", imbalance_ratio=100)
    splits = load_search_splits(config)
    assert splits.description.class_counts == (4500, *CIFAR_10_IR_100[1:])
    assert counts(splits.validation) == [500] * 10


def test_a_natural_set_is_split_for_search_and_whole_for_final_training(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    labels = [0] * 20 + [1] * 9 + [2] * 2 + [3]
    train = write_parquet("train", numbered_images(32), labels)
    test = write_parquet("test", numbered_images(8), [0, 1, 2, 3] * 2)
    config = ParquetImages(train=train, test=test, validation_per_class=3)
    search, final = load_search_splits(config), load_final_splits(config)
    assert sorted(rows(search.train) + rows(search.validation)) == list(range(32))
    assert counts(search.validation) == [3, 1, 1]
    assert search.description.class_counts == (17, 8, 1, 1)
    assert rows(final.train) == list(range(32))
    assert final.description.class_counts == (20, 9, 2, 1)
    assert rows(final.test) == list(range(8))


def test_a_tenth_of_the_largest_class_is_held_out_where_no_number_is_given(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    labels = [0] * 40 + [1] * 40
    train = write_parquet("train", numbered_images(80), labels)
    natural = load_search_splits(ParquetImages(train=train, test=train))
    cut = load_search_splits(ParquetImages(train=train, test=train, imbalance_ratio=4))
    assert (counts(natural.train), counts(natural.validation)) == ([36, 36], [4, 4])
    assert (counts(cut.train), counts(cut.validation)) == ([36, 10], [4, 4])
    assert not set(rows(cut.train)) & set(rows(cut.validation))


def test_only_the_subset_seed_changes_the_subset(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    labels = [0] * 40 + [1] * 40
    small_groups = write_parquet("small", numbered_images(80), labels, row_group_size=3)
    large_group = write_parquet(
        "large", numbered_images(80), labels, row_group_size=80, class_names=("cat", "dog")
    )

    def subset(path: str, seed: int = 0, held_out: int = 4) -> list[int]:
        config = ParquetImages(
            train=path,
            test=path,
            imbalance_ratio=4,
            head_count=20,
            validation_per_class=held_out,
            subset_seed=seed,
        )
        return rows(load_search_splits(config).train)

    assert subset(small_groups) == subset(large_group) == subset(small_groups, held_out=9)
    assert subset(small_groups) != subset(small_groups, seed=1)


def test_images_outside_the_cut_are_never_decoded(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    labels = np.repeat([0, 1], 20)
    chosen = set(cut_indices(labels, class_counts(20, 4, 2), seed=0))
    images: list[np.ndarray | bytes] = [
        image if row in chosen else b"damaged" for row, image in enumerate(numbered_images(40))
    ]
    train = write_parquet("train", images, labels.tolist())
    test = write_parquet("test", numbered_images(2), [0, 1])
    splits = load_final_splits(ParquetImages(train=train, test=test, imbalance_ratio=4))
    assert rows(splits.train) == sorted(chosen)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_rows_come_back_in_the_order_asked_for_whatever_the_thread_count(
    write_parquet: WriteParquet, numbered_images: NumberedImages, threads: int
) -> None:
    images = numbered_images(200)
    path = write_parquet("train", images, [0] * 200, row_group_size=90)
    wanted = np.random.default_rng(0).permutation(200)[:150]
    file = LabelledImageFile(path, "image", "label")
    decoded = decode_rows(
        file, wanted, Decoding(ImageShape(6, 4, 3), fitted=False, skipped=False, threads=threads)
    )
    assert np.array_equal(decoded.images_nhwd.numpy(), np.stack(images)[wanted])


def test_grey_images_have_one_channel_and_become_colour_among_colour_images(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    grey, colour = numbered_images(4, channels=1), numbered_images(4, channels=3)
    all_grey = write_parquet("grey", grey, [0, 1, 0, 1])
    mixed = write_parquet("mixed", [colour[0], *grey[1:]], [0, 1, 0, 1])
    assert load_final_splits(
        ParquetImages(train=all_grey, test=all_grey)
    ).train.images_nhwd.shape == (4, 6, 4, 1)
    images = load_final_splits(ParquetImages(train=mixed, test=mixed)).train.images_nhwd.numpy()
    assert np.array_equal(images[0], colour[0])
    assert np.array_equal(images[1:], np.repeat(np.stack(grey[1:]), 3, axis=-1))


def test_images_of_many_sizes_are_fitted_where_a_size_is_given(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    colour, grey = numbered_images(2), numbered_images(2, channels=1)
    path = write_parquet("sizes", [grey[0], colour[0][:5], grey[1][:, :3], colour[1]], [0, 1, 0, 1])
    fitted = load_final_splits(ParquetImages(train=path, test=path, image_size=5)).train
    assert fitted.images_nhwd.shape == (4, 5, 5, 3)
    expected = fit_image(Image.fromarray(colour[1]), ImageShape(5, 5, 3), "image")
    assert np.array_equal(fitted.images_nhwd[3], expected)
    as_grey = ParquetImages(train=path, test=path, image_size=5, channels=1)
    assert load_final_splits(as_grey).train.images_nhwd.shape == (4, 5, 5, 1)


def test_a_validation_file_is_used_whole_and_leaves_training_whole(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    train = write_parquet("train", numbered_images(12), [0] * 8 + [1] * 4, class_names=("a", "b"))
    own = write_parquet("own", numbered_images(6), [0, 1] * 3, class_names=("a", "b"))
    splits = load_search_splits(ParquetImages(train=train, validation=own, test="never_opened"))
    assert splits.description.class_counts == (8, 4)
    assert rows(splits.validation) == list(range(6))
    other = write_parquet("other", numbered_images(2), [0, 1], class_names=("b", "a"))
    with pytest.raises(DataError, match=r"other\.parquet: has other classes than the training"):
        load_search_splits(ParquetImages(train=train, validation=other, test=""))


def test_unreadable_rows_are_left_out_and_counted_where_asked_for(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    images: list[np.ndarray | bytes] = [*numbered_images(9)]
    images[4] = images[7] = b"damaged"
    train = write_parquet("train", images, [0, 1, 0, 1, 0, 1, 0, 1, 0])
    test = write_parquet("test", numbered_images(2), [0, 1])
    splits = load_final_splits(ParquetImages(train=train, test=test, unreadable="skip"))
    assert rows(splits.train) == [0, 1, 2, 3, 5, 6, 8]
    assert splits.train.labels_n.tolist() == [0, 1, 0, 1, 1, 0, 0]
    assert splits.description.class_counts == (4, 3)
    (remark,) = splits.remarks
    assert remark.startswith("2 of 9 training images are unreadable and left out; the first: ")
    assert "train.parquet, row 4: the image cannot be decoded" in remark


def test_channels_without_a_size_are_refused() -> None:
    with pytest.raises(InvalidFields, match=r"channels: is only used with image_size: give ima"):
        ParquetImages(train="a", test="b", channels=1)


def test_names_columns_and_normalisation_can_be_given(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    path = write_parquet(
        "named",
        numbered_images(4),
        [0, 1, 0, 1],
        columns=("img", "fine_label"),
        class_names=("cat", "dog"),
    )
    description = load_final_splits(
        ParquetImages(
            train=path,
            test=path,
            image_column="img",
            label_column="fine_label",
            mean=(0.5, 0.4, 0.3),
            std=(0.2, 0.2, 0.1),
        )
    ).description
    assert description.class_names == ("cat", "dog")
    assert (description.height, description.width, description.channels) == (6, 4, 3)
    assert description.normalisation.mean == (0.5, 0.4, 0.3)


def test_files_that_load_leave_pandas_out(cifar10: tuple[str, str], tmp_path: Path) -> None:
    program = (
        "import sys; from balpoe.data import load_search_splits;"
        "from balpoe.data.sources.parquet import ParquetImages;"
        f"load_search_splits(ParquetImages(train={cifar10[1]!r}, test='', imbalance_ratio=100));"
        "print('pandas' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.strip() == "False"
