"""The logits of trained experts for a set of images.

B batch, E experts, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.data.splits import ImageSet, Normalisation
from balpoe.models import ExpertEnsemble
from balpoe.training.augmentation import Normaliser

PREDICTION_BATCH = 256


@torch.inference_mode()
def predict(
    experts: ExpertEnsemble,
    images: ImageSet,
    normalisation: Normalisation,
    *,
    device: torch.device,
    autocast_dtype: torch.dtype,
) -> Tensor:
    """The logits of every expert, without augmentation: float32 [N, E, C] on the CPU.

    Draws nothing and changes nothing: a training goes on as if it had not been called.
    """
    experts.eval()
    normalise = Normaliser(normalisation, device)
    enabled = autocast_dtype != torch.float32
    with torch.autocast(device.type, dtype=autocast_dtype, enabled=enabled):
        batches = [
            experts(normalise(pixels.to(device)))
            for pixels in torch.split(images.images_nhwd, PREDICTION_BATCH)
        ]
    return torch.cat(batches).float().cpu()
