"""Every kind of image becomes the same pixels, and invalid ones are refused with a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from balpoe.data.decoding.image_decoding import ImageShape, fit_image
from balpoe.errors import DataError
from balpoe.inference.pixel_batches import image_batches
from balpoe.training.prediction import PREDICTION_BATCH

SHAPE = ImageShape(8, 10, 3)
Pixels = NDArray[np.uint8]


def pixels_of(images: Any, shape: ImageShape = SHAPE) -> Pixels:
    return np.concatenate([batch.numpy() for batch in image_batches(images, shape)])


@pytest.fixture
def files(tmp_path: Path, images_nhwd: Pixels) -> list[Path]:
    paths = [tmp_path / f"{i:02}.png" for i in range(len(images_nhwd))]
    for path, image in zip(paths, images_nhwd, strict=True):
        Image.fromarray(image).save(path)
    return paths


def test_arrays_tensors_pillow_images_and_paths_give_the_same_pixels(
    images_nhwd: Pixels, files: list[Path]
) -> None:
    kinds: dict[str, Any] = {
        "array": images_nhwd,
        "tensor": torch.from_numpy(images_nhwd),
        "list of arrays": list(images_nhwd),
        "list of tensors": list(torch.from_numpy(images_nhwd)),
        "Pillow": [Image.fromarray(image) for image in images_nhwd],
        "paths": files,
        "names": [str(path) for path in files],
        "mixed": [files[0], images_nhwd[1], *(Image.fromarray(i) for i in images_nhwd[2:])],
    }
    for kind, images in kinds.items():
        np.testing.assert_array_equal(pixels_of(images), images_nhwd, err_msg=kind)


def test_a_single_image_of_any_kind_is_a_batch_of_one(
    images_nhwd: Pixels, files: list[Path]
) -> None:
    first = images_nhwd[0]
    singles: list[Any] = [
        first,
        torch.from_numpy(first),
        Image.fromarray(first),
        files[0],
        str(files[0]),
    ]
    for image in singles:
        np.testing.assert_array_equal(pixels_of(image), images_nhwd[:1])


@pytest.mark.parametrize("size", [(8, 8), (40, 13), (3, 5), (1, 200)])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_sizes_and_colours_are_fitted_as_training_images_are(
    size: tuple[int, int], channels: int
) -> None:
    drawn = np.random.default_rng(0).integers(0, 256, (*size, channels), dtype=np.uint8)
    picture = Image.fromarray(drawn[..., 0] if channels == 1 else drawn)
    for shape in (SHAPE, ImageShape(8, 10, 1)):
        expected = fit_image(picture, shape, "image")
        for image in (drawn, torch.from_numpy(drawn), picture):
            np.testing.assert_array_equal(pixels_of(image, shape), expected[None])


def test_a_circle_stays_a_circle_in_an_image_of_another_aspect() -> None:
    rows, columns = np.mgrid[:60, :200]
    disc = ((rows - 30) ** 2 + (columns - 100) ** 2 < 20**2).astype(np.uint8) * 255
    (fitted,) = pixels_of(disc[..., None], ImageShape(30, 30, 1))
    bright = fitted[..., 0] > 127
    assert abs(int(bright.any(axis=0).sum()) - int(bright.any(axis=1).sum())) <= 1


def test_images_come_in_batches_and_files_are_read_when_theirs_is_due(
    images_nhwd: Pixels, files: list[Path], tmp_path: Path
) -> None:
    paths = [files[i % len(files)] for i in range(PREDICTION_BATCH)] + [tmp_path / "later.png"]
    batches = image_batches(paths, SHAPE)
    assert next(batches).shape == (PREDICTION_BATCH, 8, 10, 3)
    Image.fromarray(images_nhwd[3]).save(tmp_path / "later.png")
    np.testing.assert_array_equal(next(batches).numpy(), images_nhwd[3:4])


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 8, 10, 3)), r"image 0: pixels must be uint8 .* got float64: .*\(255 \* im"),
        (torch.zeros(8, 10, 3), r"got float32"),
        (np.zeros((1, 3, 8, 10), np.uint8), r"image 0: channels must come last.*\(3, 8, 10\)"),
        (np.zeros((4, 8, 10, 4), np.uint8), r"with 1 \(grey\) or 3 .* shape \(8, 10, 4\)"),
        (np.zeros((8, 10), np.uint8), r"got an array of shape \(8, 10\); a single grey image"),
        ([np.zeros((8, 10), np.uint8)], r"image 0: must be \[H, W, D\]"),
        (np.zeros((0, 8, 10, 3), np.uint8), r"there are no images: give at least one"),
        (np.zeros((1, 0, 10, 3), np.uint8), r"got the shape \(0, 10, 3\)"),
        ([], r"there are no images"),
        ([b"bytes"], r"image 0: must be an array, a tensor, a Pillow image or a path, got bytes"),
        ("nowhere.png", r"^nowhere.png: no such file$"),
        ("a\0b", r'^"a\\u0000b": is not a path of a file \(embedded null byte\)$'),
        (["a\0b"], r"is not a path of a file"),
        (None, r"^images: must be an array, .*, a path or a list of these, got NoneType$"),
        ((path for path in ["a.png"]), r"^images: must be .* got generator$"),
        (5, r"^images: must be .* got int$"),
        (b"bytes", r"^images: must be .* got bytes$"),
        ({"a.png": 1}, r"^images: must be .* got dict$"),
    ],
)
def test_what_is_no_image_is_refused_with_the_cure(image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pixels_of(image)


def test_folders_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"{tmp_path}: is a folder"):
        pixels_of(tmp_path)
    damaged = tmp_path / "日本.png"
    damaged.write_bytes(b"not an image")
    with pytest.raises(DataError, match=r"日本\.png: the image cannot be decoded"):
        pixels_of([damaged])


def test_images_of_sixteen_bits_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.zeros((8, 10), np.uint16)).save(path)
    with pytest.raises(DataError, match=r"deep\.png: images of mode I;16 are not supported"):
        pixels_of(path)
