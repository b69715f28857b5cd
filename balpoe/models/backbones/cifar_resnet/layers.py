"""The layers of the CIFAR residual networks of depth 6n+2 (He et al., 2016, section 4.2).

B batch, D channels, H height, W width. Every operation keeps the channels-last memory format,
also in the backward pass.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from balpoe.config.model import BackboneLayers
from balpoe.models.backbones.cifar_resnet import CifarArchitecture
from balpoe.models.basic_block import BasicBlock
from balpoe.models.pooling import GlobalAveragePool


def cifar_resnet(network: CifarArchitecture, channels: int) -> BackboneLayers:
    """Return the layers of a network for images with D = `channels`."""
    stages = [partial(stage, number, network) for number in range(1, len(network.widths) + 1)]
    features = network.widths[-1] * (2 if network.doubled else 1)
    first = partial(stem, channels, network.widths[0])
    return BackboneLayers(first, stages, GlobalAveragePool, features)


def stem(channels: int, width: int) -> nn.Sequential:
    """Return the first convolution, from the channels of the image to the width of stage 1."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),
            bn=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
        )
    )


def stage(number: int, network: CifarArchitecture) -> nn.Sequential:
    """Return stage `number` (from 1) of a network.

    Stages 2 and 3 halve height and width (rounded up).
    """
    width = network.widths[number - 1]
    before = network.widths[max(number - 2, 0)]
    blocks: list[nn.Module] = [PaddingBlock(before, width, stride=1 if number == 1 else 2)]
    blocks += (PaddingBlock(width, width, stride=1) for _ in range(network.blocks - 1))
    if network.doubled and number == len(network.widths):
        blocks[-1] = DoubledBlock(width)
    return nn.Sequential(*blocks)


class DoubledBlock(nn.Module):
    """Two blocks on the same activations, their results side by side (BBN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = PaddingBlock(channels, channels, stride=1)
        self.second = PaddingBlock(channels, channels, stride=1)

    def forward(self, x_bdhw: Tensor) -> Tensor:
        """Return activations [B, 2 · channels, H, W]."""
        return torch.cat([self.first(x_bdhw), self.second(x_bdhw)], dim=1)


class PaddingBlock(BasicBlock):
    """A block with a shortcut without parameters."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self._stride = stride
        self._padding = (channels - in_channels) // 2

    def shortcut(self, x_bdhw: Tensor) -> Tensor:
        """Return option A of He et al.: every stride-th pixel, zero channels on both sides."""
        if self._stride == 1:
            return x_bdhw
        # Pooling over one pixel is the slice x[:, :, ::stride, ::stride], but its gradient is
        # channels-last; that of a slice is contiguous, and so are all gradients before it.
        subsampled = functional.avg_pool2d(x_bdhw, kernel_size=1, stride=self._stride)
        return functional.pad(subsampled, (0, 0, 0, 0, self._padding, self._padding))
