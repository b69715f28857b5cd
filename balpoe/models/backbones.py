"""Which layers a backbone has, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from balpoe.models import bottleneck_resnet, resnet

Layer = Callable[[], nn.Module]
Layers = Mapping[str, Layer]

_CARDINALITIES = {
    "imagenet_resnet50": bottleneck_resnet.RESNET50,
    "imagenet_resnext50_32x4d": bottleneck_resnet.RESNEXT50_32X4D,
}


@dataclass(frozen=True, slots=True)
class Backbone:
    """All of a network but its classifier.

    `layers` are factories in the order of computation: `stem`, `stage1` to the last of the
    `stages`, `pool`. `features` is the length of what they compute, `fan` the mode of the
    Kaiming initialisation of their convolutions.
    """

    layers: Layers
    stages: int
    features: int
    fan: Literal["fan_in", "fan_out"]


def backbone(name: str, channels: int) -> Backbone:
    """The backbone that `balpoe.config.ModelConfig` calls `name`."""
    if name in _CARDINALITIES:
        return _imagenet_resnet(_CARDINALITIES[name], channels)
    return _cifar_resnet(int(name.removeprefix("resnet")), channels)


def _cifar_resnet(depth: int, channels: int) -> Backbone:
    numbers = range(1, len(resnet.STAGE_WIDTHS) + 1)
    stages = [partial(resnet.stage, number, depth) for number in numbers]
    layers = _layers(partial(resnet.stem, channels), stages)
    return Backbone(layers, len(stages), resnet.STAGE_WIDTHS[-1], fan="fan_in")


def _imagenet_resnet(cardinality: bottleneck_resnet.Cardinality, channels: int) -> Backbone:
    numbers = range(1, bottleneck_resnet.STAGES + 1)
    stages = [partial(bottleneck_resnet.stage, number, cardinality) for number in numbers]
    layers = _layers(partial(bottleneck_resnet.stem, channels), stages)
    return Backbone(layers, len(stages), bottleneck_resnet.FEATURES, fan="fan_out")


def _layers(stem: Layer, stages: Sequence[Layer]) -> Layers:
    numbered = {f"stage{number}": stage for number, stage in enumerate(stages, start=1)}
    return {"stem": stem, **numbered, "pool": resnet.GlobalAveragePool}
