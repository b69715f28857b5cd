"""The layers of ResNet-50 and ResNeXt-50 32x4d (He et al., 2016; Xie et al., 2017).

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
from balpoe.models.backbones.imagenet_resnet import Cardinality
from balpoe.models.pooling import GlobalAveragePool

FEATURES = 2048
_STEM_WIDTH = 64
_EXPANSION = 4
_BLOCKS = (3, 4, 6, 3)


def imagenet_resnet(cardinality: Cardinality, channels: int) -> BackboneLayers:
    """Return the layers of a network of 50 layers."""
    stages = [partial(stage, number, cardinality) for number in range(1, len(_BLOCKS) + 1)]
    return BackboneLayers(partial(stem, channels), stages, GlobalAveragePool, FEATURES)


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


def stage(number: int, cardinality: Cardinality) -> nn.Sequential:
    """Return stage `number` (from 1), with an output of 256, 512, 1024 or 2048 channels.

    All but the first halve height and width (rounded up).
    """
    inner = cardinality.groups * cardinality.group_width << (number - 1)
    channels = _stage_channels(number)
    first_in = _STEM_WIDTH if number == 1 else _stage_channels(number - 1)
    first_stride = 1 if number == 1 else 2
    first = Bottleneck(first_in, inner, channels, first_stride, cardinality.groups)
    others = (
        Bottleneck(channels, inner, channels, 1, cardinality.groups)
        for _ in range(_BLOCKS[number - 1] - 1)
    )
    return nn.Sequential(first, *others)


def _stage_channels(number: int) -> int:
    return _STEM_WIDTH * _EXPANSION << (number - 1)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut; ReLU after the addition.

    The shortcut is a 1x1 convolution where channels or size change (option B of He et al.).
    """

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
        self.downsample = nn.Sequential()
        if in_channels != channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, channels, kernel_size=1, stride=stride, bias=False),
                nn.BatchNorm2d(channels),
            )

    def forward(self, x_bdhw: Tensor) -> Tensor:
        """Return activations [B, channels, ceil(H / stride), ceil(W / stride)]."""
        inner = functional.relu(self.bn1(self.conv1(x_bdhw)), inplace=True)
        inner = functional.relu(self.bn2(self.conv2(inner)), inplace=True)
        residual: Tensor = self.bn3(self.conv3(inner))
        return residual.add_(self.downsample(x_bdhw)).relu_()
