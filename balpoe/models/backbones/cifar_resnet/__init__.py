"""The CIFAR residual networks of depth 6n+2 (He et al., 2016, section 4.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from balpoe.config.model import BACKBONES, BackboneFamily, BackboneLayers

if TYPE_CHECKING:
    import torch
    from torch import nn


@BACKBONES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class CifarResnet(BackboneFamily):
    """`resnet<depth>`, with depths 6n+2."""

    name: Literal["cifar_resnet"] = "cifar_resnet"
    names = ("resnet8, resnet14, resnet20, resnet32 or another depth 6n+2",)

    def has(self, backbone: str) -> bool:
        """Return whether `backbone` is ``resnet`` and a depth."""
        digits = backbone.removeprefix("resnet")
        is_number = backbone == f"resnet{digits}" and digits.isascii() and digits.isdigit()
        return is_number and len(digits) <= 4 and int(digits) >= 8 and int(digits) % 6 == 2

    def layers(self, backbone: str, channels: int) -> BackboneLayers:
        """Return a stem, three stages and the global average pool."""
        from balpoe.models.backbones.cifar_resnet.layers import cifar_resnet

        return cifar_resnet(int(backbone.removeprefix("resnet")), channels)

    def initialise(self, layer: nn.Module, generator: torch.Generator) -> None:
        """Draw Kaiming normal convolutions (fan-in); normalisation starts as the identity."""
        from balpoe.models.initialisation import initialise_convolutions

        initialise_convolutions(layer, "fan_in", generator)
