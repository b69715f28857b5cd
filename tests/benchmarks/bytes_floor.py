"""The least that a training step must move through the device's memory, and how fast that is.

A step cannot be faster than its traffic. Counted is what no fusion of kernels avoids: the output
of every convolution and classifier is written once and read once going forward, it is read
again going backward, and its gradient is written and read; every weight is read in both
directions, its gradient written, and the update reads weight, gradient and momentum and writes
two of them. Small networks on small images are held up by this long before they run out of
arithmetic.

B batch, D channels, H height, W width.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

from balpoe.models.classifiers import CosineClassifier, LinearClassifier

_ACTIVATION_PASSES = 5
_WEIGHT_PASSES = 8
_FLOAT32_BYTES = 4
_COPIED_BYTES = 2**28
_COPIES = 11


def step_bytes(network: nn.Module, images_bdhw: Tensor, activation_bytes: int) -> int:
    """The bytes that one step on a batch like this moves at the least.

    `activation_bytes` are those of one number between the layers: 2 for bfloat16.
    """
    outputs = 0

    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        nonlocal outputs
        outputs += output.numel()

    layers = (nn.Conv2d, CosineClassifier, LinearClassifier)
    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, layers)
    ]
    with torch.no_grad():
        network(images_bdhw)
    for hook in hooks:
        hook.remove()
    weights = sum(parameter.numel() for parameter in network.parameters())
    return (
        _ACTIVATION_PASSES * activation_bytes * outputs
        + _WEIGHT_PASSES * _FLOAT32_BYTES * weights
        + images_bdhw.numel() * activation_bytes
    )


def bytes_per_second(device: torch.device) -> float:
    """How fast the device reads and writes its memory: the median of some large copies."""
    source = torch.ones(_COPIED_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(_COPIES):
        _wait_for(device)
        started = time.perf_counter()
        target.copy_(source)
        _wait_for(device)
        seconds.append(time.perf_counter() - started)
    return 2 * _COPIED_BYTES / statistics.median(seconds)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
