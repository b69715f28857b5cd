"""Scaling and cropping of images, compared with torchvision and with known results."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import functional

from balpoe.data.decoding.image_decoding import (
    ImageShape,
    decode_fitted,
    decode_whole,
    fit_image,
    image_shape,
)
from balpoe.errors import DataError
from tests.data.deep_images import deep_png

COLOUR, GREY = ImageShape(32, 32, 3), ImageShape(32, 32, 1)
EXIF_ORIENTATION = 0x0112


def smooth(height: int, width: int, channels: int = 3) -> NDArray[np.uint8]:
    """Return an image of waves, on which errors of position or size change scaled pixels."""
    y, x, d = np.meshgrid(*(np.arange(n) for n in (height, width, channels)), indexing="ij")
    levels = 128 + 60 * np.sin(y / 9 + d) + 60 * np.cos(x / 7 - d)
    pixels: NDArray[np.uint8] = levels.astype(np.uint8).squeeze()
    return pixels


def encoded(image: Image.Image, format_: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


@given(side=st.integers(1, 12), longer=st.integers(0, 40), upright=st.booleans())
def test_the_shorter_side_is_scaled_and_the_middle_cut_as_by_torchvision(
    side: int, longer: int, upright: bool
) -> None:
    # torchvision rounds the longer side and the crop; these sizes need no rounding
    short, long = 16 * side, (16 + longer) * side
    image = Image.fromarray(smooth(*((long, short) if upright else (short, long))))
    expected = functional.center_crop(functional.resize(image, [32]), [32])
    difference = fit_image(image, COLOUR, "image").astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1


def test_a_circle_stays_a_circle() -> None:
    y, x = np.mgrid[:300, :500]
    disc = np.where((x - 249.5) ** 2 + (y - 149.5) ** 2 < 100**2, 255, 0).astype(np.uint8)
    fitted = fit_image(Image.fromarray(disc), ImageShape(60, 60, 1), "disc")[..., 0] / 255
    assert fitted.sum(0) == pytest.approx(fitted.sum(1), abs=0.1)
    assert fitted.sum() == pytest.approx(np.pi * 20**2, rel=2e-3)


@pytest.mark.parametrize(("mode", "shape"), [("RGB", COLOUR), ("L", GREY)])
def test_an_image_that_fits_keeps_its_pixels(mode: str, shape: ImageShape) -> None:
    noise = np.random.default_rng(0).integers(256, size=(32, 32, shape.channels), dtype=np.uint8)
    image = Image.fromarray(noise.squeeze())
    assert image.mode == mode
    assert np.array_equal(fit_image(image, shape, "image"), noise)


def test_a_shape_that_is_not_square_is_covered() -> None:
    image = Image.fromarray(smooth(40, 80))
    fitted = fit_image(image, ImageShape(20, 10, 3), "image")
    halves = image.resize((40, 20), Image.Resampling.BILINEAR)
    assert np.abs(fitted.astype(int) - np.asarray(halves)[:, 15:25]).max() <= 1


def test_an_extreme_strip_needs_no_more_memory_than_its_pixels() -> None:
    # without the crop, the scaled image would have 32 x 32,000,000 pixels
    strip = Image.new("L", (1_000_000, 1), 7)
    assert (fit_image(strip, GREY, "strip") == 7).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"])
@pytest.mark.parametrize("shape", [COLOUR, GREY])
def test_every_mode_of_eight_bits_becomes_grey_or_colour(mode: str, shape: ImageShape) -> None:
    white = Image.new("RGB", (50, 40), "white").convert(mode)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = fit_image(white, shape, "image")
    assert fitted.shape == (32, 32, shape.channels)
    assert (fitted == 255).all()


def test_colours_survive_palettes_transparency_and_inks() -> None:
    red = Image.new("RGB", (40, 40), (255, 0, 0))
    palette = red.quantize(4)
    palette.info["transparency"] = bytes([0, 128])
    for image in (red, palette, red.convert("RGBA"), red.convert("CMYK")):
        assert (fit_image(image, COLOUR, "image") == [255, 0, 0]).all()
    assert (fit_image(red, GREY, "image") == 76).all()  # 0.299 · 255, ITU-R 601-2


@pytest.mark.parametrize("mode", ["I", "I;16", "F"])
def test_more_than_eight_bits_a_channel_are_refused_by_name(mode: str) -> None:
    with pytest.raises(DataError, match=f"deep.tif: images of mode {mode} are not supported"):
        fit_image(Image.new(mode, (40, 40)), GREY, "deep.tif")


@pytest.mark.parametrize(("channels", "mode"), [(2, "LA;16B"), (3, "RGB;16B"), (4, "RGBA;16B")])
def test_colour_of_sixteen_bits_is_refused_like_grey(channels: int, mode: str) -> None:
    message = f"deep.png: images of mode {mode} are not supported: convert them to 8 bits"
    for read in (decode_whole, lambda *of: decode_fitted(of[0], COLOUR, of[1])):
        with pytest.raises(DataError, match=message):
            read(deep_png(channels), "deep.png")


def test_pixels_of_sixteen_bits_in_all_are_read() -> None:
    # A bitmap of 5 bits a channel, which Pillow calls BGR;16 or BGR;15.
    header = struct.pack("<IiiHHIIiiII", 40, 2, 1, 1, 16, 0, 4, 0, 0, 0, 0)
    bitmap = b"BM" + struct.pack("<IHHI", 58, 0, 0, 54) + header + b"\xff\x7f" * 2
    assert (decode_whole(bitmap, "small.bmp") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_lies_as_its_exif_orientation_says(orientation: int) -> None:
    upright = Image.fromarray(smooth(32, 48))
    T = Image.Transpose  # noqa: N806 - a name for this table only
    # the stored orientation for every value of the tag (EXIF 2.3, 4.6.4)
    stored = {
        2: T.FLIP_LEFT_RIGHT,
        3: T.ROTATE_180,
        4: T.FLIP_TOP_BOTTOM,
        5: T.TRANSPOSE,
        6: T.ROTATE_90,
        7: T.TRANSVERSE,
        8: T.ROTATE_270,
    }
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    content = encoded(image, "PNG", exif=exif)
    assert image_shape(content, "image") == ImageShape(32, 48, 3)
    assert np.array_equal(
        decode_fitted(content, COLOUR, "image"), fit_image(upright, COLOUR, "image")
    )


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_a_truncated_image_is_refused_by_name(format_: str) -> None:
    whole = encoded(Image.fromarray(smooth(90, 70)), format_)
    with pytest.raises(DataError, match=r"cat\.x: the image cannot be decoded"):
        decode_fitted(whole[: len(whole) * 2 // 3], COLOUR, "cat.x")


def test_the_pixels_can_be_written_and_become_a_tensor_without_a_copy() -> None:
    fitted = fit_image(Image.new("RGB", (9, 9)), COLOUR, "image")
    torch.from_numpy(fitted)[0, 0, 0] = 5
    assert fitted[0, 0, 0] == 5
