"""The network of an expert: its backbone, its classifier and where its weights start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from balpoe.config.bounds import Bounded, Positive, Rule
from balpoe.config.plain import ADDED
from balpoe.config.wording import listed, must_be, shown
from balpoe.errors import FieldProblem

IMAGENET_BACKBONES: Final = ("imagenet_resnet50", "imagenet_resnext50_32x4d")
WEIGHT_NAMES: Final = ("IMAGENET1K_V1", "IMAGENET1K_V2")
WEIGHT_SUFFIXES: Final = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True, slots=True)
class BackboneName(Rule):
    """`resnet<depth>` of the CIFAR family, whose depths are 6n+2, or one for ImageNet."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        digits = value.removeprefix("resnet")
        named = value == f"resnet{digits}" and digits.isascii() and digits.isdigit()
        if named and len(digits) <= 4 and int(digits) >= 8 and int(digits) % 6 == 2:
            return None
        if value in IMAGENET_BACKBONES:
            return None
        cifar = "resnet8, resnet14, resnet20, resnet32 or another depth 6n+2"
        return must_be(f"{cifar}, {listed(IMAGENET_BACKBONES)}", value)


@dataclass(frozen=True, slots=True)
class WeightsName(Rule):
    """A name that torchvision gives its weights, or the path of a file of weights."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        if value in WEIGHT_NAMES or value.endswith(WEIGHT_SUFFIXES):
            return None
        return must_be(f"{listed(WEIGHT_NAMES)}, or a file *{listed(WEIGHT_SUFFIXES)}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(Bounded):
    """The network of an expert.

    `resnet<6n+2>` are He's networks for CIFAR: resnet50 is the one with eight blocks a stage
    and 64 features, not ImageNet's. torchvision's ResNet-50 and ResNeXt-50 32x4d, for images
    of some 100 pixels and more, are `imagenet_resnet50` and `imagenet_resnext50_32x4d`.

    `cosine_scale` is κ of the cosine classifier: 32 in the paper, 30 in the released code
    that gave its numbers.

    `pretrained` names weights of torchvision's for an ImageNet backbone (downloaded once, to
    the cache of torch.hub) or a file with such weights. The classifier always starts anew.
    Weights that have seen all of ImageNet say nothing about learning from ImageNet-LT.
    """

    backbone: Annotated[str, BackboneName()] = "resnet32"
    classifier: Literal["cosine", "linear"] = "cosine"
    cosine_scale: Positive = 30.0
    pretrained: Annotated[str, WeightsName()] | None = field(default=None, metadata=ADDED)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Only the networks for ImageNet have pretrained weights."""
        if self.pretrained is not None and self.backbone not in IMAGENET_BACKBONES:
            message = (
                f"is for {listed(IMAGENET_BACKBONES)}, got {shown(self.pretrained)} "
                f"with {self.backbone}"
            )
            yield FieldProblem("pretrained", message)
