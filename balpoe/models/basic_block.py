"""The block of shallow residual networks (He et al., 2016, figure 5, left).

B batch, H height, W width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn
from torch.nn import functional


class BasicBlock(nn.Module, ABC):
    """Two 3x3 convolutions around a shortcut, which subclasses add; ReLU after the addition."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(
            in_channels, channels, kernel_size=3, stride=stride, padding=1, bias=False
        )
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x_bdhw: Tensor) -> Tensor:
        """Return activations [B, channels, ceil(H / stride), ceil(W / stride)]."""
        inner = functional.relu(self.bn1(self.conv1(x_bdhw)), inplace=True)
        residual: Tensor = self.bn2(self.conv2(inner))
        return residual.add_(self.shortcut(x_bdhw)).relu_()

    @abstractmethod
    def shortcut(self, x_bdhw: Tensor) -> Tensor:
        """Return the input in the shape of the result."""
