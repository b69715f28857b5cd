"""Errors of Parquet sources: one message with the place and the fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.decoding.decoded_images import Decoding, decode_rows
from balpoe.data.decoding.image_decoding import ImageShape
from balpoe.data.sources.parquet import ParquetImages
from balpoe.data.sources.parquet.image_file import LabelledImageFile
from balpoe.errors import DataError, StorageError

WriteParquet = Callable[..., str]
NumberedImages = Callable[..., list[np.ndarray]]


def load(train: str, test: str | None = None) -> None:
    load_final_splits(ParquetImages(train=train, test=test or train))


@pytest.fixture
def sound(write_parquet: WriteParquet, numbered_images: NumberedImages) -> str:
    return write_parquet("sound", numbered_images(40), [0, 1] * 20)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"absent.parquet: no such file: data.train and data.test"):
        load(str(tmp_path / "absent.parquet"))


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not a Parquet file \(.*is a directory"):
        load(str(tmp_path))


def test_a_path_that_the_system_cannot_open(tmp_path: Path) -> None:
    loop = tmp_path / "loop.parquet"
    loop.symlink_to(loop)
    with pytest.raises(StorageError, match=r"loop.parquet: cannot be read"):
        load(str(loop))


@pytest.mark.parametrize("content", [b"", b"image,label\n1,2\n" * 9, b"PAR1" + bytes(99) + b"PAR1"])
def test_a_file_that_is_not_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "images.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images.parquet: damaged, or not a Parquet file"):
        load(str(path))


def test_a_truncated_file(sound: str) -> None:
    content = Path(sound).read_bytes()
    Path(sound).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="damaged, or not a Parquet file"):
        load(sound)


def test_a_flipped_bit_anywhere_in_the_pages_is_caught_by_their_checksums(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    path = write_parquet("plain", numbered_images(40), [0, 1] * 20, compression="none")
    content = Path(path).read_bytes()
    pixels = [content.index(b"IDAT", start) + 9 for start in (0, len(content) // 2)]
    for position in pixels:
        damaged = bytearray(content)
        damaged[position] ^= 1
        Path(path).write_bytes(damaged)
        with pytest.raises(DataError, match="damaged, or not a Parquet file"):
            load(path)


def test_a_missing_column(write_parquet: WriteParquet, numbered_images: NumberedImages) -> None:
    path = write_parquet("other", numbered_images(2), [0, 1], columns=("img", "label"))
    with pytest.raises(DataError, match=r"no column 'image' among img, label: name it in data.ima"):
        load(path)
    path = write_parquet("other", numbered_images(2), [0, 1], columns=("image", "class"))
    with pytest.raises(DataError, match="no column 'label' among image, class"):
        load(path)


def test_columns_of_other_types(write_parquet: WriteParquet, sound: str) -> None:
    with pytest.raises(DataError, match="column 'label' is int64, not struct<bytes: binary"):
        load_final_splits(ParquetImages(train=sound, test=sound, image_column="label"))
    path = write_parquet("other", [b"", b""], [0.0, 1.0])
    with pytest.raises(DataError, match="column 'label' is double, not integer"):
        load(path)


def test_no_images(sound: str) -> None:
    pq.write_table(pq.read_table(sound).slice(0, 0), sound)
    with pytest.raises(DataError, match="contains no images"):
        load(sound)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1, None, 1], "row 2: label is null: label every image"),
        ([0, 1, 0, -1], "row 3: label -1 is out of range"),
        ([0, 2**40, 0, 1], f"row 1: label {2**40} is out of range: it must be from 0 to 3"),
    ],
)
def test_a_label_that_is_no_class(
    write_parquet: WriteParquet,
    numbered_images: NumberedImages,
    labels: list[int | None],
    message: str,
) -> None:
    path = write_parquet("labels", numbered_images(4), labels)
    with pytest.raises(DataError, match=message):
        load(path)


def test_a_label_beyond_the_named_classes_in_training_or_test(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    names = ("cat", "dog")
    train = write_parquet("train", numbered_images(4), [0, 1, 0, 1], class_names=names)
    other = write_parquet("other", numbered_images(4), [0, 1, 2, 1], class_names=names)
    for files in ((other, train), (train, other)):
        with pytest.raises(DataError, match=r"other.parquet, row 2: label 2 .* from 0 to 1"):
            load(*files)


def test_test_classes_named_otherwise_than_the_training_classes(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    train = write_parquet("train", numbered_images(2), [0, 1], class_names=("cat", "dog"))
    test = write_parquet("test", numbered_images(2), [0, 1], class_names=("dog", "cat"))
    with pytest.raises(DataError, match="has other classes than the training file"):
        load(train, test)


def test_class_names_that_cannot_be_read(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    path = write_parquet("names", numbered_images(2), [0, 1], metadata=b'{"info": []}')
    with pytest.raises(DataError, match="huggingface metadata are not readable"):
        load(path)


def test_two_classes_of_one_name(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    names = ("x", "x", "z")
    path = write_parquet("alike", numbered_images(6), [0, 1, 2] * 2, class_names=names)
    with pytest.raises(DataError, match=r"alike.parquet: 2 classes are named 'x' in .*: give each"):
        load(path)


def test_a_class_without_images(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    path = write_parquet("gap", numbered_images(4), [0, 2, 0, 2])
    with pytest.raises(DataError, match=r"class 1 \(1\) has no training image"):
        load(path)
    path = write_parquet(
        "named", numbered_images(4), [0, 1, 0, 1], class_names=("cat", "dog", "eel")
    )
    with pytest.raises(DataError, match=r"class 2 \(eel\) has no training image"):
        load(path)


def test_a_cut_that_cannot_be_made(sound: str) -> None:
    with pytest.raises(DataError, match="asks for 21 images of class 0, but there are 20: lower"):
        load_final_splits(ParquetImages(train=sound, test=sound, imbalance_ratio=2, head_count=21))
    with pytest.raises(DataError, match=r"imbalance_ratio: the cut leaves class 1 \(1\) without"):
        load_final_splits(ParquetImages(train=sound, test=sound, imbalance_ratio=21))
    with pytest.raises(DataError, match="validation_per_class: 20 leaves none of the 20 images"):
        load_search_splits(
            ParquetImages(train=sound, test=sound, imbalance_ratio=2, validation_per_class=20)
        )


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_an_image_that_cannot_be_decoded_is_named_by_its_row(
    write_parquet: WriteParquet, numbered_images: NumberedImages, sound: str, damage: str
) -> None:
    content = LabelledImageFile(sound, "image", "label").encoded_images(np.asarray([0]))
    (whole,) = next(content).encoded
    assert isinstance(whole, bytes)
    images: list[np.ndarray | bytes] = [*numbered_images(20)]
    images[13] = {"truncated": whole[: len(whole) // 2], "text": b"no image", "empty": b""}[damage]
    path = write_parquet("damaged", images, [0, 1] * 10)
    with pytest.raises(DataError, match=r"damaged.parquet, row 13: the image cannot be decoded"):
        load(path)


def test_the_first_damaged_row_is_named_however_many_threads_decode(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    images: list[np.ndarray | bytes] = [*numbered_images(250)]
    images[70] = images[150] = images[230] = b"damaged"
    file = LabelledImageFile(
        write_parquet("d", images, [0] * 250, row_group_size=250), "image", "label"
    )
    wanted = np.random.default_rng(0).permutation(250)
    for threads in (1, 4):
        with pytest.raises(DataError, match="row 70:"):
            decode_rows(
                file,
                wanted,
                Decoding(ImageShape(6, 4, 3), fitted=False, skipped=False, threads=threads),
            )


def test_an_image_that_is_only_a_path(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    path = write_parquet("paths", [*numbered_images(9), None], [0, 1] * 5)
    with pytest.raises(DataError, match=r"row 9: image.bytes is null: embed the image"):
        load(path)


def test_images_of_several_sizes_or_grey_before_colour(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    images = numbered_images(10)
    images[8] = images[8][:5]
    path = write_parquet("sizes", images, [0, 1] * 5)
    with pytest.raises(DataError, match=r"row 8: the image is 5x4 colour, but the first .* is 6x4"):
        load(path)
    path = write_parquet("modes", [*numbered_images(3, channels=1), images[0]], [0, 1, 0, 1])
    with pytest.raises(
        DataError, match=r"row 3: the image is 6x4 colour, .* 6x4 grey: set data.im"
    ):
        load(path)


def test_test_images_of_another_size_than_the_training_images(
    write_parquet: WriteParquet, numbered_images: NumberedImages, sound: str
) -> None:
    test = write_parquet("test", [image[:5] for image in numbered_images(2)], [0, 1])
    with pytest.raises(DataError, match=r"test.parquet, row 0: the image is 5x4"):
        load(sound, test)


def test_sixteen_bit_images_are_refused_by_mode(
    write_parquet: WriteParquet, numbered_images: NumberedImages
) -> None:
    deep = [image.astype(np.uint16) * 257 for image in numbered_images(2, channels=1)]
    path = write_parquet("deep", deep, [0, 1])
    with pytest.raises(DataError, match="images of mode I;16 are not supported: convert them"):
        load(path)


def test_normalisation_for_another_number_of_channels(sound: str) -> None:
    with pytest.raises(DataError, match=r"data.mean, data.std: 1 numbers for images with 3 chan"):
        load_final_splits(ParquetImages(train=sound, test=sound, mean=(0.5,), std=(0.2,)))


def test_images_that_are_one_colour(write_parquet: WriteParquet) -> None:
    path = write_parquet("flat", [np.full((6, 4, 3), 9, dtype=np.uint8)] * 4, [0, 1, 0, 1])
    with pytest.raises(DataError, match="channel 0 is the same in every pixel"):
        load(path)
