"""The network of an expert, and the table of backbones.

D channels of an image, K features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from balpoe.config.bounds import Bounded, Positive, Rule
from balpoe.config.entry_tables import Entry, Table
from balpoe.config.plain_data import ADDED
from balpoe.config.wording import listed, must_be, shown
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")


@dataclass(frozen=True, eq=False, slots=True)
class BackboneLayers:
    """All of a network but its classifier, as factories of its layers.

    `stem` takes images [B, D, H, W]. Experts that share a backbone own the last of the `stages`.
    `pool` returns float32 [B, K], with K = `features`. Layers are made on the meta device.
    """

    stem: Callable[[], nn.Module]
    stages: Sequence[Callable[[], nn.Module]]
    pool: Callable[[], nn.Module]
    features: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneFamily(Entry, ABC):
    """Backbones that are made from the same kind of layers; abstract.

    `names` are those of the backbones, as messages list them; `pretrained` are the names of
    weights that can be downloaded. A family with such names takes files of weights, too.
    """

    name: str
    names: ClassVar[tuple[str, ...]]
    pretrained: ClassVar[tuple[str, ...]] = ()

    def has(self, backbone: str) -> bool:
        """Return whether `backbone` names one of the family."""
        return backbone in self.names

    @abstractmethod
    def layers(self, backbone: str, channels: int) -> BackboneLayers:
        """Return the layers of a backbone for images with D = `channels`."""

    @abstractmethod
    def initialise(self, layer: nn.Module, generator: torch.Generator) -> None:
        """Set all parameters and buffers of the stem, a stage or the pool, on the CPU.

        Random numbers are drawn from `generator` alone. What is left out is an error.
        """

    def takes(self, backbone: str, weights: str) -> bool:
        """Return whether there are `weights` for a backbone of the family: a name, or a file."""
        return bool(self.pretrained) and (weights in self.pretrained or is_weights_file(weights))

    def download(self, backbone: str, weights: str) -> Mapping[str, Tensor]:
        """Return the pretrained weights with the name `weights`.

        Raises:
            OSError, RuntimeError: the download fails.
        """
        raise NotImplementedError

    def pretrained_name(self, tensor: str) -> str:
        """Return the name in files of weights of a tensor ``stem.…`` or ``stage1.…``."""
        return tensor


BACKBONES = Table(
    BackboneFamily,  # type: ignore[type-abstract]
    package="balpoe.models.backbones",
    group="balpoe.backbones",
)


def backbone_families() -> tuple[BackboneFamily, ...]:
    """Return all families of the table."""
    return tuple(family() for family in BACKBONES.entries.values())


def family_of(backbone: str) -> BackboneFamily | None:
    """Return the family of a backbone, or None for a name that no family has."""
    return next((family for family in backbone_families() if family.has(backbone)), None)


def is_weights_file(weights: str) -> bool:
    """Return whether `weights` is the path of a file, not a name of pretrained weights."""
    return weights.endswith(_WEIGHT_SUFFIXES)


@dataclass(frozen=True, slots=True)
class BackboneName(Rule):
    """A name from one of the families."""

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with `value`, or None."""
        if family_of(value) is not None:
            return None
        names = (name for family in backbone_families() for name in family.names)
        return must_be(listed(names), value)


@dataclass(frozen=True, slots=True)
class WeightsName(Rule):
    """A name of pretrained weights, or the path of a file of weights."""

    def problem(self, value: Any) -> str | None:
        """Return what is wrong with `value`, or None."""
        names = dict.fromkeys(name for family in backbone_families() for name in family.pretrained)
        if value in names or is_weights_file(value):
            return None
        return must_be(f"{listed(names)}, or a file *{listed(_WEIGHT_SUFFIXES)}", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(Bounded):
    """The network of an expert.

    `resnet<6n+2>` are He's networks for CIFAR: resnet50 is the one with eight blocks a stage
    and 64 features, not ImageNet's. torchvision's ResNet-50 and ResNeXt-50 32x4d, for images
    of some 100 pixels and more, are `imagenet_resnet50` and `imagenet_resnext50_32x4d`;
    `imagenet_resnet10` has one block in each stage. In networks with the suffix `_narrow` the
    last two stages have three quarters of the channels (RIDE, SADE).

    `cosine_scale` is κ of the cosine classifier: 32 in the paper, 30 in the released code
    that produced its numbers.

    `pretrained` names weights of the backbone (of torchvision's for the ImageNet backbones,
    downloaded once, to the cache of torch.hub) or a file with such weights. The classifier is
    always drawn. Weights trained on all of ImageNet say nothing about learning from ImageNet-LT.
    """

    backbone: Annotated[str, BackboneName()] = "resnet32"
    classifier: Literal["cosine", "linear"] = "cosine"
    cosine_scale: Positive = 30.0
    pretrained: Annotated[str, WeightsName()] | None = field(default=None, metadata=ADDED)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Pretrained weights are those of the backbone's family."""
        weights = self.pretrained
        if weights is None:
            return
        families = backbone_families()
        if not any(
            each.has(self.backbone) and each.takes(self.backbone, weights) for each in families
        ):
            fitting = (
                name for family in families for name in family.names if family.takes(name, weights)
            )
            message = f"is for {listed(fitting)}, got {shown(weights)} with {self.backbone}"
            yield FieldProblem("pretrained", message)
