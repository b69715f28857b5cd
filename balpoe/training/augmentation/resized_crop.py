"""Resized crops: a box of each training image, and the centre of images in evaluation.

The interpolation is bilinear with antialiasing, as in Pillow and torchvision: every pixel of the
result is the mean of the pixels near its position, weighted by a triangle as wide as the pixel
(at least one pixel to either side). A batch is resized by two matrix products, along rows and
columns. Levels equal those of torchvision's tensor kernel except for some in 10,000, and differ by
at most one from Pillow's, which rounds between the two.

B batch, N images, H height, W width, D channels, R resized pixels of a side, A attempts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

AREA = (0.08, 1.0)
ASPECT = (3 / 4, 4 / 3)
_ATTEMPTS = 10
_RESIZED_TO_CROPPED = 256 / 224


def draw_boxes(
    images: int, height: int, width: int, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Draw a box of each image: top, left, height and width in whole pixels, float32 [N, 4].

    As in torchvision's RandomResizedCrop, the share of the area and the logarithm of the aspect
    ratio (width to height) are uniform. The box is the first of ten attempts that fits, or the
    largest centred box with an allowed aspect ratio.
    """
    shape = (images, _ATTEMPTS)
    area_na = height * width * generator.uniform(*AREA, shape)
    aspect_na = np.exp(generator.uniform(math.log(ASPECT[0]), math.log(ASPECT[1]), shape))
    place_2n = generator.random((2, images))
    heights_na = np.rint(np.sqrt(area_na / aspect_na))
    widths_na = np.rint(np.sqrt(area_na * aspect_na))
    fits_na = (heights_na > 0) & (heights_na <= height) & (widths_na > 0) & (widths_na <= width)
    first_n = fits_na.argmax(axis=1)[:, None]
    fits_n = fits_na.any(axis=1)
    whole_height = min(height, round(width / ASPECT[0]))
    whole_width = min(width, round(height * ASPECT[1]))
    height_n = np.where(fits_n, np.take_along_axis(heights_na, first_n, 1)[:, 0], whole_height)
    width_n = np.where(fits_n, np.take_along_axis(widths_na, first_n, 1)[:, 0], whole_width)
    free_n, free_across_n = height - height_n, width - width_n
    top_n = np.where(fits_n, np.floor(place_2n[0] * (free_n + 1)), free_n // 2)
    left_n = np.where(fits_n, np.floor(place_2n[1] * (free_across_n + 1)), free_across_n // 2)
    return np.stack([top_n, left_n, height_n, width_n], axis=1).astype(np.float32)


def resized_boxes(images_bhwd: Tensor, box_b4: Tensor, side: int, flip_b: Tensor) -> Tensor:
    """Return the boxes of `draw_boxes`, resized and flipped: uint8 [B, R, R, D]."""
    _, height, width, _ = images_bhwd.shape
    top_b, left_b, height_b, width_b = box_b4.unbind(1)
    rows_brh = _weights(top_b, height_b, side, (top_b, top_b + height_b), height)
    columns_brw = _weights(left_b, width_b, side, (left_b, left_b + width_b), width)
    columns_brw = torch.where(flip_b[:, None, None], columns_brw.flip(1), columns_brw)
    return _resized(images_bhwd, rows_brh, columns_brw)


@dataclass(frozen=True, slots=True)
class CentreCrop:
    """Resize(R · 8/7) of the shorter side, then CenterCrop(R), for images of one size."""

    side: int

    def __call__(self, images_bhwd: Tensor) -> Tensor:
        """Return the centre of all images: uint8 [B, R, R, D]; exact if the scale is 1."""
        _, height, width, _ = images_bhwd.shape
        shorter = round(self.side * _RESIZED_TO_CROPPED)
        scale = shorter / min(height, width)
        rows_rh = self._weights(height, scale, images_bhwd.device)
        columns_rw = self._weights(width, scale, images_bhwd.device)
        return _resized(images_bhwd, rows_rh, columns_rw)

    def _weights(self, pixels: int, scale: float, device: torch.device) -> Tensor:
        resized = math.floor(pixels * scale)
        pixel = pixels / resized
        start = torch.tensor([round((resized - self.side) / 2) * pixel], device=device)
        extent = torch.tensor([self.side * pixel], device=device)
        whole = torch.zeros(1, device=device), torch.full((1,), pixels, device=device)
        return _weights(start, extent, self.side, whole, pixels)


def _weights(
    start_b: Tensor, extent_b: Tensor, side: int, seen: tuple[Tensor, Tensor], pixels: int
) -> Tensor:
    """Return the weights of the pixels of a line in the resized line: float32 [B, R, pixels].

    `start_b` and `extent_b` are the part of the line that is resized; pixels outside of `seen[0]`
    to `seen[1]` have no weight.
    """
    scale_b11 = (extent_b / side)[:, None, None]
    place_r1 = torch.arange(side, device=start_b.device)[:, None] + 0.5
    place_p = torch.arange(pixels, device=start_b.device) + 0.5
    distance_brp = place_p - (start_b[:, None, None] + place_r1 * scale_b11)
    weights_brp = (1 - distance_brp.abs() / scale_b11.clamp(min=1)).clamp(min=0)
    first_b11, end_b11 = (limit[:, None, None] for limit in seen)
    weights_brp = torch.where((place_p > first_b11) & (place_p < end_b11), weights_brp, 0)
    return weights_brp / weights_brp.sum(dim=2, keepdim=True)


def _resized(images_bhwd: Tensor, rows_brh: Tensor, columns_brw: Tensor) -> Tensor:
    batch, height, width, channels = images_bhwd.shape
    side = rows_brh.shape[1]
    lines_bkw = images_bhwd.transpose(2, 3).reshape(batch, height * channels, width)
    narrow_bhk = (lines_bkw.float() @ columns_brw.mT).view(batch, height, channels * side)
    resized_brdr = (rows_brh @ narrow_bhk).view(batch, side, channels, side)
    levels_brdr = resized_brdr.round_().clamp_(0, 255).to(torch.uint8)
    return levels_brdr.transpose(2, 3).contiguous()
