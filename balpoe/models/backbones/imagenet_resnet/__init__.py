"""ResNet-50 and ResNeXt-50 32x4d for ImageNet (He et al., 2016; Xie et al., 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from balpoe.config.model import BACKBONES, BackboneFamily, BackboneLayers

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Cardinality:
    """The groups of the 3x3 convolutions, and the channels of each group in stage 1."""

    groups: int
    group_width: int


CARDINALITIES: Final = {
    "imagenet_resnet50": Cardinality(groups=1, group_width=64),
    "imagenet_resnext50_32x4d": Cardinality(groups=32, group_width=4),
}
_RENAMED = (("stem.conv.", "conv1."), ("stem.bn.", "bn1."), ("stage", "layer"))


@BACKBONES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ImagenetResnet(BackboneFamily):
    """The networks of torchvision, with its pretrained weights."""

    name: Literal["imagenet_resnet"] = "imagenet_resnet"
    names = tuple(CARDINALITIES)
    pretrained = ("IMAGENET1K_V1", "IMAGENET1K_V2")

    def layers(self, backbone: str, channels: int) -> BackboneLayers:
        """Return a stem, four stages and the global average pool."""
        from balpoe.models.backbones.imagenet_resnet.layers import imagenet_resnet

        return imagenet_resnet(CARDINALITIES[backbone], channels)

    def initialise(self, layer: nn.Module, generator: torch.Generator) -> None:
        """Draw Kaiming normal convolutions (fan-out); normalisation starts as the identity."""
        from balpoe.models.initialisation import initialise_convolutions

        initialise_convolutions(layer, "fan_out", generator)

    def download(self, backbone: str, weights: str) -> Mapping[str, Tensor]:
        """Return the weights from the cache of torch.hub, or download them to it."""
        from torchvision.models import get_model_weights  # takes 1.5 s and 160 MiB

        found: Mapping[str, Tensor] = get_model_weights(backbone.removeprefix("imagenet_"))[
            weights
        ].get_state_dict(progress=False, check_hash=True)
        return found

    def pretrained_name(self, tensor: str) -> str:
        """Return the name of a tensor in torchvision's network."""
        for ours, theirs in _RENAMED:
            if tensor.startswith(ours):
                return theirs + tensor.removeprefix(ours)
        return tensor
