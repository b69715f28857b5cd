"""In which floating-point format the convolutions of a training run."""

from __future__ import annotations

import torch

from balpoe.config import Precision


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The format for autocast on `device`; `auto` is bfloat16 where the device is fast at it."""
    if precision == "float32" or (precision == "auto" and not _fast_at_bfloat16(device)):
        return torch.float32
    return torch.bfloat16


def _fast_at_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
