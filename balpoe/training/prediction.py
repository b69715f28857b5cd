"""The logits of trained experts for a set of images.

B batch, E experts, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from balpoe.data.splits import ImageSet, Normalisation
from balpoe.models import ExpertEnsemble
from balpoe.training.augmentation import Normaliser
from balpoe.training.resized_crop import CentreCrop

PREDICTION_BATCH = 256
_MOST_PIXELS = PREDICTION_BATCH * 128 * 128


@torch.inference_mode()
def predict(
    experts: ExpertEnsemble,
    images: ImageSet,
    normalisation: Normalisation,
    *,
    device: torch.device,
    autocast_dtype: torch.dtype,
    resized_crop: int = 0,
) -> Tensor:
    """The logits of every expert, without augmentation: float32 [N, E, C] on the CPU.

    For networks that were trained on resized crops of so many pixels, the middle is cut out.
    Draws nothing and changes nothing: a training goes on as if it had not been called.
    """
    experts.eval()
    normalise = Normaliser(normalisation, device)
    cut = CentreCrop(resized_crop) if resized_crop else None
    enabled = autocast_dtype != torch.float32
    batches = []
    for stored in torch.split(images.images_nhwd, _batch_size(images)):
        pixels = stored.to(device)
        inputs = normalise(cut(pixels) if cut else pixels)
        with torch.autocast(device.type, dtype=autocast_dtype, enabled=enabled):
            batches.append(experts(inputs))
    return torch.cat(batches).float().cpu()


def _batch_size(images: ImageSet) -> int:
    """Fewer images at once where they are large: their activations lie in memory."""
    _, height, width, _ = images.images_nhwd.shape
    return max(1, min(PREDICTION_BATCH, _MOST_PIXELS // (height * width)))
