"""How much memory a training took."""

from __future__ import annotations

import resource
import sys

import torch

_MIB = 1024 * 1024


def peak_memory_mib(device: torch.device) -> float:
    """The most memory in use so far: allocated on a GPU, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024
