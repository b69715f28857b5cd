"""Classifiers on features, computed in float32 also under autocast.

B batch, K features, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from balpoe.config import ModelConfig


def classifier(
    model: ModelConfig, features: int, classes: int
) -> CosineClassifier | LinearClassifier:
    """Return the classifier that `model` names."""
    if model.classifier == "cosine":
        return CosineClassifier(features, classes, model.cosine_scale)
    return LinearClassifier(features, classes)


class CosineClassifier(nn.Module):
    """Logits κ·cos(z, w_y) without a bias; κ is `scale` (Aimar et al., CVPR 2023)."""

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self._scale = scale

    def initialise(self, generator: torch.Generator) -> None:
        """Draw directions uniformly on the sphere, with length 1 (it scales steps, not logits)."""
        nn.init.normal_(self.weight, generator=generator)
        with torch.no_grad():
            self.weight.copy_(functional.normalize(self.weight, dim=1))

    def forward(self, features_bk: Tensor) -> Tensor:
        """Return logits float32 [B, C], within ±κ."""
        directions_bk = functional.normalize(features_bk.float(), dim=1)
        return self._scale * _product(directions_bk, functional.normalize(self.weight, dim=1))


class LinearClassifier(nn.Module):
    """Logits w_y·z + b_y."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self.bias = nn.Parameter(torch.empty(classes))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw Kaiming normal weights (fan-in) and set the bias to 0."""
        nn.init.kaiming_normal_(self.weight, generator=generator)
        nn.init.zeros_(self.bias)

    def forward(self, features_bk: Tensor) -> Tensor:
        """Return logits float32 [B, C]."""
        return _product(features_bk.float(), self.weight, self.bias)


def _product(features_bk: Tensor, weight_ck: Tensor, bias_c: Tensor | None = None) -> Tensor:
    with torch.autocast(features_bk.device.type, enabled=False):
        return functional.linear(features_bk, weight_ck, bias_c)
