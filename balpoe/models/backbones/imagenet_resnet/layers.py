"""The layers of residual networks for ImageNet (He et al., 2016; Xie et al., 2017).

They compute the same as torchvision's networks (stride in the 3x3 convolution), with the same
names for the weights of a stage, so that its pretrained weights fit. Importing torchvision's
models instead would take 1.5 s and 160 MiB in every trial.

B batch, D channels, H height, W width.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn
from torch.nn import functional

from balpoe.config.model import BackboneLayers
from balpoe.models.backbones.imagenet_resnet import ImagenetArchitecture
from balpoe.models.basic_block import BasicBlock
from balpoe.models.pooling import GlobalAveragePool

_STEM_WIDTH = 64
_EXPANSION = 4


def imagenet_resnet(network: ImagenetArchitecture, channels: int) -> BackboneLayers:
    """Return the layers of a network for images with D = `channels`."""
    numbers = range(1, len(network.blocks) + 1)
    stages = [partial(stage, number, network) for number in numbers]
    features = _stage_channels(network, numbers[-1])
    return BackboneLayers(partial(stem, channels), stages, GlobalAveragePool, features)


def stem(channels: int) -> nn.Sequential:
    """Return the layers from the image to 64 channels at a quarter of its size (rounded up)."""
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(channels, _STEM_WIDTH, kernel_size=7, stride=2, padding=3, bias=False),
            bn=nn.BatchNorm2d(_STEM_WIDTH),
            relu=nn.ReLU(inplace=True),
            pool=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        )
    )


def stage(number: int, network: ImagenetArchitecture) -> nn.Sequential:
    """Return stage `number` (from 1) of a network.

    All but the first halve height and width (rounded up).
    """
    channels = _stage_channels(network, number)
    before = _STEM_WIDTH if number == 1 else _stage_channels(network, number - 1)
    first = _block(number, network, before, stride=1 if number == 1 else 2)
    others = (
        _block(number, network, channels, stride=1) for _ in range(network.blocks[number - 1] - 1)
    )
    return nn.Sequential(first, *others)


def _stage_channels(network: ImagenetArchitecture, number: int) -> int:
    width = network.widths[number - 1]
    return width * _EXPANSION if network.kind == "bottleneck" else width


def _block(
    number: int, network: ImagenetArchitecture, in_channels: int, *, stride: int
) -> nn.Module:
    channels, width = _stage_channels(network, number), network.widths[number - 1]
    if network.kind == "basic":
        return ProjectingBlock(in_channels, channels, stride)
    inner = network.groups * (network.group_width * width // _STEM_WIDTH)
    return Bottleneck(in_channels, inner, channels, stride, network.groups)


class ProjectingBlock(BasicBlock):
    """A block whose shortcut is a 1x1 convolution where channels or size change."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__(in_channels, channels, stride)
        self.downsample = _shortcut(in_channels, channels, stride)

    def shortcut(self, x_bdhw: Tensor) -> Tensor:
        """Return option B of He et al."""
        shortcut: Tensor = self.downsample(x_bdhw)
        return shortcut


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut; ReLU after the addition."""

    def __init__(
        self, in_channels: int, inner: int, channels: int, stride: int, groups: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, inner, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(
            inner, inner, kernel_size=3, stride=stride, padding=1, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x_bdhw: Tensor) -> Tensor:
        """Return activations [B, channels, ceil(H / stride), ceil(W / stride)]."""
        inner = functional.relu(self.bn1(self.conv1(x_bdhw)), inplace=True)
        inner = functional.relu(self.bn2(self.conv2(inner)), inplace=True)
        residual: Tensor = self.bn3(self.conv3(inner))
        return residual.add_(self.downsample(x_bdhw)).relu_()


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential:
    """Return a 1x1 convolution where channels or size change (option B of He et al.)."""
    if in_channels == channels:
        return nn.Sequential()
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False),
        nn.BatchNorm2d(channels),
    )
