"""Boxes that are pasted from the partner's image.

S steps, B batch, D channels, H height, W width. Boxes are drawn as λ and the centre in shares of
height and width, float64, because the size of the images is not known then.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from balpoe.config.mixing import Mixed


class Box(NamedTuple):
    """The first row and column of a box and those after its last, int64 []."""

    top: Tensor
    left: Tensor
    bottom: Tensor
    right: Tensor


def draw_boxes(
    alpha: float, probability: float, steps: int, generator: np.random.Generator
) -> Tensor:
    """Draw λ ~ Beta(α, α) and the centre: float64 [S, 3]; λ = 1 without a box."""
    lambda_s = generator.beta(alpha, alpha, size=steps)
    centre_s2 = generator.random((steps, 2))
    boxed_s = generator.random(steps) < probability
    return torch.from_numpy(np.column_stack([np.where(boxed_s, lambda_s, 1.0), centre_s2]))


def clipped_box(drawn: Tensor, height: int, width: int) -> Box:
    """Return the box of sides ⌊√(1 − λ)·H⌋ and ⌊√(1 − λ)·W⌋, cut at the edges of the image.

    It reaches as far to both sides of its centre: an odd side loses one pixel (released code).
    """
    share, vertical, horizontal = drawn.unbind()
    scale = (1 - share).sqrt()
    edges = []
    for centre, length in ((vertical, height), (horizontal, width)):
        half = (scale * length).long() // 2
        middle = (centre * length).long()
        edges.append(((middle - half).clamp(min=0), (middle + half).clamp(max=length)))
    (top, bottom), (left, right) = edges
    return Box(top, left, bottom, right)


def pasted(images_bdhw: Tensor, partner_images_bdhw: Tensor, drawn: Tensor) -> Mixed:
    """Paste the box of a row of `draw_boxes` from the partners; ξ is the area outside of it."""
    height, width = images_bdhw.shape[2:]
    box = clipped_box(drawn, height, width)
    rows_h = torch.arange(height, device=drawn.device)
    columns_w = torch.arange(width, device=drawn.device)
    inside_h1 = ((rows_h >= box.top) & (rows_h < box.bottom))[:, None]
    inside_hw = inside_h1 & (columns_w >= box.left) & (columns_w < box.right)
    area = (box.bottom - box.top) * (box.right - box.left)
    outside = 1 - area / (height * width)
    return Mixed(torch.where(inside_hw, partner_images_bdhw, images_bdhw), outside)
