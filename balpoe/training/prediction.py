"""The logits of trained experts for a set of images, without augmentation.

B batch, E experts, C classes, H height, W width, D channels, R side of the resized crop.
"""

from __future__ import annotations

from contextlib import closing

import torch
from torch import Tensor

from balpoe.config import Precision
from balpoe.data.splits import Images, Normalisation
from balpoe.models.experts import ExpertEnsemble
from balpoe.training.augmentation.pixel_source import Normaliser
from balpoe.training.augmentation.resized_crop import CentreCrop
from balpoe.training.precision import autocast_dtype, float32_kernels

PREDICTION_BATCH = 256
_MOST_PIXELS = PREDICTION_BATCH * 128 * 128


class EvaluationInput:
    """Turn stored images into the input of networks on `device`.

    Images are normalised. For networks that were trained on resized crops, the centre is cut.
    """

    def __init__(
        self, normalisation: Normalisation, resized_crop: int, device: torch.device
    ) -> None:
        self.device = device
        self._normalise = Normaliser(normalisation, device)
        self._cut = CentreCrop(resized_crop) if resized_crop else None

    def __call__(self, pixels_bhwd: Tensor) -> Tensor:
        """uint8 [B, H, W, D] → float32 [B, D, H, W] or [B, D, R, R], channels-last in memory."""
        return self._normalise(self._cut(pixels_bhwd) if self._cut else pixels_bhwd)


@torch.inference_mode()
def predict(
    experts: ExpertEnsemble,
    images: Images,
    evaluation_input: EvaluationInput,
    precision: Precision,
) -> Tensor:
    """Return the logits of every expert, computed in `precision`: float32 [N, E, C] on the CPU.

    Draw nothing and change no weight, so that a training continues as without the call.
    """
    experts.eval()
    device = evaluation_input.device
    dtype = autocast_dtype(precision, device)
    batches = []
    with (
        closing(images.in_order(_batch_size(images))) as stored,
        float32_kernels(precision, device),
    ):
        for stored_bhwd in stored:
            inputs = evaluation_input(stored_bhwd.to(device))
            with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                batches.append(experts(inputs))
    return torch.cat(batches).float().cpu()


def _batch_size(images: Images) -> int:
    """Return a smaller batch for large images, to bound the memory of their activations."""
    height, width, _ = images.shape_hwd
    return max(1, min(PREDICTION_BATCH, _MOST_PIXELS // (height * width)))
