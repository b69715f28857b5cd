"""The floating-point format of the convolutions and matrix products of a network.

A GPU computes float32 convolutions with the 10-bit mantissa of TF32 by default, so
`float32` switches TF32 off and makes cuDNN deterministic; `tf32` switches TF32 on. With `bfloat16`,
autocast converts the operands, and what stays in float32 (cosine classifier, logits, loss) keeps
PyTorch's settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch

from balpoe.config import Precision

NumberFormat = Literal["float32", "tf32", "bfloat16"]

INFERENCE: Precision = "float32"
"""The precision of final evaluation, prediction and ONNX, whatever the training had."""


def number_format(precision: Precision, device: torch.device) -> NumberFormat:
    """Return the format that `precision` means on `device`.

    `auto` is bfloat16 where `device` has hardware for it, else float32. A CPU has no TF32.
    """
    if precision == "auto":
        return "bfloat16" if _has_fast_bfloat16(device) else "float32"
    if precision == "tf32" and device.type != "cuda":
        return "float32"
    return precision


def autocast_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the format for autocast; float32 stands for no autocast."""
    is_bfloat16 = number_format(precision, device) == "bfloat16"
    return torch.bfloat16 if is_bfloat16 else torch.float32


@contextmanager
def float32_kernels(precision: Precision, device: torch.device) -> Iterator[None]:
    """Choose the kernels for float32 operands on a GPU within the block, and restore the settings.

    A CUDA graph keeps the kernels that were chosen at its capture.
    """
    chosen = number_format(precision, device)
    if device.type != "cuda" or chosen == "bfloat16":
        yield
        return
    cudnn: Any = torch.backends.cudnn  # the types of torch 2.15 lack its members
    # the older `cudnn.allow_tf32` cannot be read while these hold "ieee" (torch 2.15)
    settings: tuple[Any, ...] = (torch.backends.cuda.matmul, cudnn.conv)
    before = [setting.fp32_precision for setting in settings]
    deterministic = cudnn.deterministic
    try:
        for setting in settings:
            setting.fp32_precision = "ieee" if chosen == "float32" else "tf32"
        cudnn.deterministic = deterministic or chosen == "float32"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value
        cudnn.deterministic = deterministic


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        with torch.cuda.device(device):  # the check is of the current device
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
