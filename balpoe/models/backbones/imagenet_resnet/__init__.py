"""Residual networks for ImageNet (He et al., 2016; Xie et al., 2017), by torchvision's definition.

ResNet-10 has one block of two 3x3 convolutions in each stage, as in the code of OLTR (Liu et al.,
CVPR 2019), which defined ImageNet-LT. In networks with the suffix `_narrow` the stages that experts
own by default have 192 and 384 channels instead of 256 and 512 (RIDE, Wang et al., ICLR 2021;
`reduce_dimension` in its released code and in SADE's).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from balpoe.config.model import BACKBONES, BackboneFamily, BackboneLayers, is_weights_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ImagenetArchitecture:
    """The blocks of each of the four stages, their kind and their channels.

    The 3x3 convolutions of a bottleneck have `groups` groups, each with `group_width` channels for
    64 of `widths`; its result has four times the channels.
    """

    blocks: tuple[int, int, int, int]
    kind: Literal["basic", "bottleneck"] = "bottleneck"
    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    groups: int = 1
    group_width: int = 64


_WIDE: Final = {
    "imagenet_resnet10": ImagenetArchitecture((1, 1, 1, 1), "basic"),
    "imagenet_resnet50": ImagenetArchitecture((3, 4, 6, 3)),
    "imagenet_resnext50_32x4d": ImagenetArchitecture((3, 4, 6, 3), groups=32, group_width=4),
}
ARCHITECTURES: Final = _WIDE | {
    f"{name}_narrow": replace(network, widths=(64, 128, 192, 384))
    for name, network in _WIDE.items()
}
_PUBLISHED: Final = ("imagenet_resnet50", "imagenet_resnext50_32x4d")
_RENAMED = (("stem.conv.", "conv1."), ("stem.bn.", "bn1."), ("stage", "layer"))


@BACKBONES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ImagenetResnet(BackboneFamily):
    """The networks of torchvision, with its pretrained weights, and their relatives."""

    name: Literal["imagenet_resnet"] = "imagenet_resnet"
    names = tuple(ARCHITECTURES)
    pretrained = ("IMAGENET1K_V1", "IMAGENET1K_V2")

    def layers(self, backbone: str, channels: int) -> BackboneLayers:
        """Return a stem, four stages and the global average pool."""
        from balpoe.models.backbones.imagenet_resnet.layers import imagenet_resnet

        return imagenet_resnet(ARCHITECTURES[backbone], channels)

    def initialise(self, layer: nn.Module, generator: torch.Generator) -> None:
        """Draw Kaiming normal convolutions (fan-out); normalisation starts as the identity."""
        from balpoe.models.initialisation import initialise_convolutions

        initialise_convolutions(layer, "fan_out", generator)

    def takes(self, backbone: str, weights: str) -> bool:
        """Return whether torchvision publishes `weights` for a backbone, or they are a file."""
        return is_weights_file(weights) or (weights in self.pretrained and backbone in _PUBLISHED)

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
