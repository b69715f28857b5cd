"""Operations on the colours of each image of a batch, equal to torchvision's tensor kernels.

There are two kinds. A blend combines an image with a degenerate one: black (brightness), its mean
grey (contrast), the grey image (colour) or the smoothed image (sharpness). A table maps every
level of a channel to another.

The arithmetic is in float32 and in torchvision's order, because truncation makes a product just
below a whole number one level smaller.

B batch, H height, W width, D channels, V = 256 levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.training.augmentation.operations import Operation

LEVELS = 256


def blend(pixels_bhwd: Tensor, operation_b: Tensor, magnitude_b: Tensor) -> Tensor:
    """Apply the blends, leaving images with others: uint8 [B, H, W, D], with D = 1 or 3."""
    operation_b111 = operation_b[:, None, None, None]

    def of(operation: Operation) -> Tensor:
        return operation_b111 == operation

    blends = of(Operation.BRIGHTNESS) | of(Operation.CONTRAST)
    if pixels_bhwd.shape[3] == 3:
        blends |= of(Operation.COLOUR)
    if min(pixels_bhwd.shape[1:3]) > 2:
        blends |= of(Operation.SHARPNESS)
    grey_bhw1 = _grey(pixels_bhwd)
    mean_b111 = grey_bhw1.mean(dim=(1, 2, 3), keepdim=True)
    degenerate = torch.where(of(Operation.CONTRAST), mean_b111, 0)
    degenerate = torch.where(of(Operation.COLOUR), grey_bhw1, degenerate)
    degenerate = torch.where(of(Operation.SHARPNESS), _smoothed(pixels_bhwd), degenerate)
    excess_b111 = torch.where(blends, magnitude_b[:, None, None, None], 0)
    blended = (1 + excess_b111) * pixels_bhwd + (-excess_b111) * degenerate
    return blended.clamp_(0, LEVELS - 1).to(torch.uint8)


def _grey(pixels_bhwd: Tensor) -> Tensor:
    """Return whole levels of grey as float32 [B, H, W, 1]."""
    if pixels_bhwd.shape[3] == 1:
        return pixels_bhwd.float()
    red, green, blue = pixels_bhwd.unbind(3)
    return (0.2989 * red + 0.587 * green + 0.114 * blue).floor_()[..., None]


def _smoothed(pixels_bhwd: Tensor) -> Tensor:
    """Return means of 3x3 pixels with weight 5 for the centre, in whole levels: [B, H, W, D].

    The border stays as it is.
    """
    levels = pixels_bhwd.short()
    smoothed = pixels_bhwd.float()
    if min(pixels_bhwd.shape[1:3]) > 2:
        columns = levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]
        box = columns[:, :, :-2] + columns[:, :, 1:-1] + columns[:, :, 2:]
        weighted = box + 4 * levels[:, 1:-1, 1:-1]
        smoothed[:, 1:-1, 1:-1] = (weighted / 13).round_()  # never halfway between two levels
    return smoothed


def look_up(pixels_bhwd: Tensor, operation_b: Tensor, magnitude_b: Tensor) -> Tensor:
    """Apply the tables, leaving images with other operations: uint8 [B, H, W, D]."""
    batch, _, _, channels = pixels_bhwd.shape
    rows = torch.arange(batch * channels, dtype=torch.int32, device=pixels_bhwd.device)
    cells = (pixels_bhwd + LEVELS * rows.view(batch, 1, 1, channels)).view(-1)
    counts = torch.zeros(batch * channels * LEVELS, dtype=torch.int32, device=cells.device)
    counts.index_add_(0, cells, torch.ones_like(cells))
    counts_bdv = counts.view(batch, channels, LEVELS)
    table_bdv = _table(counts_bdv, operation_b[:, None, None], magnitude_b[:, None, None])
    return table_bdv.reshape(-1).index_select(0, cells).view(pixels_bhwd.shape)


def _table(counts_bdv: Tensor, operation_b11: Tensor, magnitude_b11: Tensor) -> Tensor:
    """Return the new level of each level, uint8 [B, D, V], from the pixels per level."""
    level_v = torch.arange(LEVELS, dtype=torch.int32, device=counts_bdv.device)
    highest = LEVELS - 1
    dropped_bits = (8 - magnitude_b11.int()).clamp_(0, 8)
    lifted = (level_v + magnitude_b11.int()).clamp(max=highest)
    tables = {
        Operation.POSTERISE: (level_v >> dropped_bits) << dropped_bits,
        Operation.SOLARISE: torch.where(level_v >= magnitude_b11, highest - level_v, level_v),
        Operation.SOLARISE_ADD: torch.where(level_v < LEVELS // 2, lifted, level_v),
        Operation.AUTO_CONTRAST: _stretched(counts_bdv, level_v),
        Operation.EQUALISE: _equalised(counts_bdv, level_v),
        Operation.INVERT: highest - level_v,
    }
    table = level_v.expand(counts_bdv.shape)
    for operation, of_operation in tables.items():
        table = torch.where(operation_b11 == operation, of_operation, table)
    return table.to(torch.uint8)


def _stretched(counts_bdv: Tensor, level_v: Tensor) -> Tensor:
    """Spread levels linearly from black to white; a channel of one level stays as it is."""
    lowest, highest = _range(counts_bdv, level_v)
    scale = (LEVELS - 1) / (highest - lowest).float()
    flat = highest == lowest
    spread = (level_v - torch.where(flat, 0, lowest)).float() * torch.where(flat, 1, scale)
    return spread.clamp_(0, LEVELS - 1).int()


def _equalised(counts_bdv: Tensor, level_v: Tensor) -> Tensor:
    """Spread levels so that equal ranges contain equally many pixels, as in Pillow.

    Channels with fewer than 255 pixels below the highest level stay as they are.
    """
    _, highest = _range(counts_bdv, level_v)
    at_highest = counts_bdv.gather(2, highest.long())
    step = (counts_bdv.sum(dim=2, keepdim=True, dtype=torch.int32) - at_highest) // (LEVELS - 1)
    below = counts_bdv.cumsum(dim=2, dtype=torch.int32) - counts_bdv
    equalised = ((below + step // 2) // step.clamp(min=1)).clamp_(max=LEVELS - 1)
    return torch.where(step == 0, level_v, equalised)


def _range(counts_bdv: Tensor, level_v: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lowest and the highest level of each channel: int32 [B, D, 1]."""
    present = counts_bdv > 0
    lowest = torch.where(present, level_v, LEVELS - 1).amin(dim=2, keepdim=True)
    highest = torch.where(present, level_v, 0).amax(dim=2, keepdim=True)
    return lowest, highest
