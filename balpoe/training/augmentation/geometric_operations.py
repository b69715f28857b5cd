"""Shear, translation and rotation of each image of a batch, in one gather of pixels.

Every pixel of the result is the nearest pixel to its source, or black if the source is outside
of the image. Shears fix the upper left corner and translations are whole pixels, as in
AutoAugment; rotations are about the centre.

B batch, H height, W width, D channels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.training.augmentation.operations import Operation


def move(pixels_bhwd: Tensor, operation_b: Tensor, magnitude_b: Tensor) -> Tensor:
    """Apply the geometric operations, leaving images with others: uint8 [B, H, W, D]."""
    batch, height, width, channels = pixels_bhwd.shape
    rows, columns = _origins(height, width, operation_b, magnitude_b)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image_b11 = torch.arange(batch, device=pixels_bhwd.device)[:, None, None]
    place = (image_b11 * height + rows) * width + columns
    place_bhw = torch.where(inside, place, 0)
    moved = pixels_bhwd.reshape(-1, channels).index_select(0, place_bhw.view(-1))
    return moved.view(pixels_bhwd.shape).masked_fill_(~inside[..., None], 0)


def _origins(
    height: int, width: int, operation_b: Tensor, magnitude_b: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the rows and columns of the sources, int64 [B, H, W], also outside of the image."""
    y_h1 = torch.arange(height, device=operation_b.device)[:, None] + 0.5
    x_w = torch.arange(width, device=operation_b.device) + 0.5

    def magnitude(operation: Operation) -> Tensor:
        return torch.where(operation_b == operation, magnitude_b, 0)[:, None, None]

    radians = torch.deg2rad(magnitude(Operation.ROTATE))
    cosine, sine = torch.cos(radians), torch.sin(radians)
    from_centre_y, from_centre_x = y_h1 - height / 2, x_w - width / 2
    columns = cosine * from_centre_x - sine * from_centre_y + width / 2
    rows = sine * from_centre_x + cosine * from_centre_y + height / 2
    columns = columns + magnitude(Operation.SHEAR_X) * y_h1
    rows = rows + magnitude(Operation.SHEAR_Y) * x_w
    columns = columns - torch.trunc(magnitude(Operation.TRANSLATE_X) * width)
    rows = rows - torch.trunc(magnitude(Operation.TRANSLATE_Y) * height)
    return rows.floor().long(), columns.floor().long()
