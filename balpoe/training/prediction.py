"""The logits of trained experts for a set of images.

B batch, E experts, C classes.
"""

from __future__ import annotations

from contextlib import closing

import torch
from torch import Tensor

from balpoe.data.splits import Images
from balpoe.models.experts import ExpertEnsemble
from balpoe.training.evaluation_input import EvaluationInput

PREDICTION_BATCH = 256
_MOST_PIXELS = PREDICTION_BATCH * 128 * 128


@torch.inference_mode()
def predict(
    experts: ExpertEnsemble,
    images: Images,
    evaluation_input: EvaluationInput,
    *,
    device: torch.device,
    autocast_dtype: torch.dtype,
) -> Tensor:
    """The logits of every expert, without augmentation: float32 [N, E, C] on the CPU.

    Draws nothing and changes nothing: a training goes on as if it had not been called.
    """
    experts.eval()
    enabled = autocast_dtype != torch.float32
    batches = []
    with closing(images.in_order(_batch_size(images))) as stored:
        for stored_bhwd in stored:
            inputs = evaluation_input(stored_bhwd.to(device))
            with torch.autocast(device.type, dtype=autocast_dtype, enabled=enabled):
                batches.append(experts(inputs))
    return torch.cat(batches).float().cpu()


def _batch_size(images: Images) -> int:
    """Fewer images at once where they are large: their activations lie in memory."""
    height, width, _ = images.shape_hwd
    return max(1, min(PREDICTION_BATCH, _MOST_PIXELS // (height * width)))
