"""What networks are given of stored images when nothing is drawn.

B batch, H height, W width, D channels, R pixels of a side of the resized crop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.data.splits import Normalisation
from balpoe.training.augmentation.pixel_source import Normaliser
from balpoe.training.augmentation.resized_crop import CentreCrop


class EvaluationInput:
    """Normalises images, for networks that were trained on resized crops their middle."""

    def __init__(
        self, normalisation: Normalisation, resized_crop: int, device: torch.device
    ) -> None:
        self._normalise = Normaliser(normalisation, device)
        self._cut = CentreCrop(resized_crop) if resized_crop else None

    def __call__(self, pixels_bhwd: Tensor) -> Tensor:
        """uint8 [B, H, W, D] → float32 [B, D, H, W] or [B, D, R, R], channels-last in memory."""
        return self._normalise(self._cut(pixels_bhwd) if self._cut else pixels_bhwd)
