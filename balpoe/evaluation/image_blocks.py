"""Blocks of images, because the logits of all images in float64 may not fit into memory.

N images, B images of a block, E experts, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor

_MOST_ELEMENTS: Final = 2**18  # of a block: 2 MiB in float64, which stays in the cache


def image_blocks(logits_nec: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Yield the places of consecutive images, and their logits in float64 on the CPU [B, E, C]."""
    images, experts, classes = logits_nec.shape
    size = max(1, _MOST_ELEMENTS // (experts * classes))
    for start in range(0, images, size):
        rows = slice(start, start + size)
        yield rows, logits_nec[rows].detach().to("cpu", torch.float64)
