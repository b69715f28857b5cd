"""Classifiers on features, computed in float32 also under autocast.

B batch, K features, C classes, E experts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from balpoe.config import ModelConfig
from balpoe.config.second_stage import Classifier

CLASS_SCALES = "class_scales"


def classifier(
    model: ModelConfig, features: int, classes: int
) -> CosineClassifier | LinearClassifier:
    """Return the classifier that `model` names."""
    if model.classifier == "cosine":
        return CosineClassifier(features, classes, model.cosine_scale)
    return LinearClassifier(features, classes)


class ScaledClassifier(nn.Module, ABC):
    """A classifier whose logits may be multiplied by a scale of each class; abstract.

    `class_scales` is None, and no part of the state, before `add_class_scales`.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    class_scales: nn.Parameter | None

    def __init__(self) -> None:
        super().__init__()
        self.register_parameter(CLASS_SCALES, None)

    @abstractmethod
    def initialise(self, generator: torch.Generator) -> None:
        """Draw the first weights from a generator on the CPU."""

    def add_class_scales(self) -> None:
        """Add a scale of 1 for each class."""
        self.class_scales = nn.Parameter(torch.ones_like(self.weight[:, 0]))

    def _scaled(self, logits_bc: Tensor) -> Tensor:
        return logits_bc if self.class_scales is None else logits_bc * self.class_scales


class CosineClassifier(ScaledClassifier):
    """Logits κ·cos(z, w_y) without a bias; κ is `scale` (Aimar et al., CVPR 2023)."""

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self.register_parameter("bias", None)
        self._scale = scale

    def initialise(self, generator: torch.Generator) -> None:
        """Draw directions uniformly on the sphere, with length 1 (it scales steps, not logits)."""
        _draw(nn.init.normal_, self.weight, generator)
        with torch.no_grad():
            self.weight.copy_(functional.normalize(self.weight, dim=1))

    def forward(self, features_bk: Tensor) -> Tensor:
        """Return logits float32 [B, C], within ±κ."""
        directions_bk = functional.normalize(features_bk.float(), dim=1)
        cosines_bc = _product(directions_bk, functional.normalize(self.weight, dim=1))
        return self._scaled(self._scale * cosines_bc)


class LinearClassifier(ScaledClassifier):
    """Logits w_y·z + b_y."""

    bias: nn.Parameter

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, features))
        self.bias = nn.Parameter(torch.empty(classes))

    def initialise(self, generator: torch.Generator) -> None:
        """Draw Kaiming normal weights (fan-in) and set the bias to 0."""
        _draw(nn.init.kaiming_normal_, self.weight, generator)
        nn.init.zeros_(self.bias)

    def forward(self, features_bk: Tensor) -> Tensor:
        """Return logits float32 [B, C]."""
        return self._scaled(_product(features_bk.float(), self.weight, self.bias))


def biases_and_norms(classifiers: Sequence[Classifier]) -> tuple[Tensor, Tensor]:
    """Return the biases b and the norms ‖w‖ of linear classifiers: float64 [E, C], on the CPU.

    Scales of classes are part of both.
    """
    biases, norms = [], []
    for classifier in classifiers:
        assert classifier.bias is not None
        scales_c = torch.ones_like(classifier.bias)
        if classifier.class_scales is not None:
            scales_c = classifier.class_scales
        biases.append(classifier.bias.double() * scales_c)
        norms.append(classifier.weight.double().norm(dim=1) * scales_c.abs())
    return torch.stack(biases).detach().cpu(), torch.stack(norms).detach().cpu()


def _draw(fill: Callable[..., Tensor], weight: nn.Parameter, generator: torch.Generator) -> None:
    """Fill a weight of any device with random numbers that are drawn on the CPU."""
    drawn = torch.empty_like(weight, device="cpu")
    fill(drawn, generator=generator)
    with torch.no_grad():
        weight.copy_(drawn)


def _product(features_bk: Tensor, weight_ck: Tensor, bias_c: Tensor | None = None) -> Tensor:
    with torch.autocast(features_bk.device.type, enabled=False):
        return functional.linear(features_bk, weight_ck, bias_c)
