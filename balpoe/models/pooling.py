"""The pooling between a backbone and the classifiers.

B batch, D channels, H height, W width.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class GlobalAveragePool(nn.Module):
    """The mean over all pixels, in float32."""

    def forward(self, x_bdhw: Tensor) -> Tensor:
        """Return features [B, D]."""
        # Its gradient keeps the channels-last format, that of Tensor.mean does not.
        return functional.avg_pool2d(x_bdhw.float(), kernel_size=x_bdhw.shape[2:]).flatten(1)
