"""The floating-point format of the convolutions of a training."""

from __future__ import annotations

import torch

from balpoe.config import Precision


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format for autocast; `auto` is bfloat16 where `device` has hardware for it."""
    if precision == "float32" or (precision == "auto" and not _has_fast_bfloat16(device)):
        return torch.float32
    return torch.bfloat16


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
