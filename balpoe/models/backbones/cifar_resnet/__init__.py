"""The CIFAR residual networks of depth 6n+2 (He et al., 2016, section 4.2) and two variants.

With `_narrow` the stages that experts own by default have 24 and 48 channels instead of 32 and 64
(RIDE, Wang et al., ICLR 2021; `reduce_dimension` in its released code and in SADE's). With `_bbn`
the last block is there twice, side by side, which gives 128 features (BBN, Zhou et al., CVPR 2020);
this is the ResNet-32 of LADE's released code (Hong et al., CVPR 2021).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from balpoe.config.model import BACKBONES, BackboneFamily, BackboneLayers

if TYPE_CHECKING:
    import torch
    from torch import nn

_NAME: Final = re.compile(r"resnet([0-9]{1,4})(_narrow|_bbn)?")
_WIDTHS: Final = (16, 32, 64)
_NARROW_WIDTHS: Final = (16, 24, 48)


@dataclass(frozen=True, slots=True)
class CifarArchitecture:
    """The blocks of each of the three stages, and the channels of each.

    With `doubled` the last block is there twice, side by side.
    """

    blocks: int
    widths: tuple[int, int, int] = _WIDTHS
    doubled: bool = False


def architecture(backbone: str) -> CifarArchitecture | None:
    """Return the architecture that a name stands for, or None."""
    match = _NAME.fullmatch(backbone)
    if match is None:
        return None
    blocks, rest = divmod(int(match[1]) - 2, 6)
    doubled = match[2] == "_bbn"
    # the block before those side by side doubles the channels, so that a stage has two at least
    if rest or blocks < (2 if doubled else 1):
        return None
    widths = _NARROW_WIDTHS if match[2] == "_narrow" else _WIDTHS
    return CifarArchitecture(blocks, widths, doubled)


@BACKBONES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class CifarResnet(BackboneFamily):
    """`resnet<depth>`, with depths 6n+2, `resnet<depth>_narrow` and `resnet<depth>_bbn`."""

    name: Literal["cifar_resnet"] = "cifar_resnet"
    names = (
        "resnet8, resnet14, resnet20, resnet32 or another depth 6n+2",
        "resnet<depth>_narrow",
        "resnet<depth>_bbn (from depth 14)",
    )

    def has(self, backbone: str) -> bool:
        """Return whether `backbone` is ``resnet``, a depth and the suffix of a variant, if any."""
        return architecture(backbone) is not None

    def layers(self, backbone: str, channels: int) -> BackboneLayers:
        """Return a stem, three stages and the global average pool."""
        from balpoe.models.backbones.cifar_resnet.layers import cifar_resnet

        network = architecture(backbone)
        assert network is not None
        return cifar_resnet(network, channels)

    def initialise(self, layer: nn.Module, generator: torch.Generator) -> None:
        """Draw Kaiming normal convolutions (fan-in); normalisation starts as the identity."""
        from balpoe.models.initialisation import initialise_convolutions

        initialise_convolutions(layer, "fan_in", generator)
