"""The configuration of one training: data, network, experts, mixup and optimisation.

Defaults are the standard CIFAR recipe of the paper (its Section 4.2) without augmentation,
which depends on what the images show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from balpoe.config.bounds import (
    Bounded,
    Count,
    Fraction,
    Index,
    NonNegative,
    Positive,
    Real,
    Rule,
)
from balpoe.config.data import DataConfig
from balpoe.config.wording import must_be, shown
from balpoe.errors import FieldProblem

Sharing = Literal["shared", "independent", "linear"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class ResNetName(Rule):
    """`resnet<depth>` of the CIFAR family, whose depths are 6n+2."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        digits = value.removeprefix("resnet")
        named = value == f"resnet{digits}" and digits.isascii() and digits.isdigit()
        if named and len(digits) <= 4 and int(digits) >= 8 and int(digits) % 6 == 2:
            return None
        return must_be("resnet8, resnet14, resnet20, resnet32 or another depth 6n+2", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig(Bounded):
    """The network of an expert.

    `cosine_scale` is κ of the cosine classifier: 32 in the paper, 30 in the released code
    that gave its numbers.
    """

    backbone: Annotated[str, ResNetName()] = "resnet32"
    classifier: Literal["cosine", "linear"] = "cosine"
    cosine_scale: Positive = 30.0

    @property
    def depth(self) -> int:
        """The number of weighted layers, the N of resnetN."""
        return int(self.backbone.removeprefix("resnet"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertsConfig(Bounded):
    """How many experts, what each is biased towards, and what they share.

    The biases λ are `count` values equidistant from `centre + spread` down to
    `centre - spread` (a single expert gets `centre`), or `lambdas` outright.
    """

    count: Count = 3
    spread: NonNegative = 1.0
    centre: Real = 0.0
    lambdas: tuple[Real, ...] | None = None
    sharing: Sharing = "shared"

    def further_problems(self) -> Iterator[FieldProblem]:
        """One λ per expert where they are given outright."""
        if self.lambdas is not None and len(self.lambdas) != self.count:
            message = f"must be as many as count ({self.count}), got {len(self.lambdas)}"
            yield FieldProblem("lambdas", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixupConfig(Bounded):
    """Mixup with ξ ~ Beta(α, α); α = 0 switches it off (ERM)."""

    alpha: NonNegative = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationConfig(Bounded):
    """Random crop after zero padding, horizontal flip and rotation of training images."""

    crop_padding: Index = 0
    flip: bool = False
    rotation_degrees: NonNegative = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(Bounded):
    """SGD with momentum and its schedule.

    `warmup` and `milestones` are fractions of `epochs`, so that a shorter or longer run
    keeps the schedule's shape. `evaluate_every` is in epochs; the last is always evaluated.
    """

    epochs: Count = 200
    batch_size: Count = 128
    learning_rate: Positive = 0.1
    momentum: Fraction = 0.9
    nesterov: bool = True
    weight_decay: NonNegative = 5e-4
    schedule: Literal["multistep", "cosine"] = "multistep"
    warmup: Fraction = 0.025
    milestones: tuple[Fraction, ...] = (0.8, 0.9)
    decay: Positive = 0.1
    precision: Precision = "auto"
    evaluate_every: Count = 1
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Milestones in order; Nesterov needs momentum."""
        if tuple(sorted(self.milestones)) != self.milestones:
            yield FieldProblem("milestones", f"must ascend, got {shown(self.milestones)}")
        if self.nesterov and self.momentum == 0:
            yield FieldProblem("nesterov", "needs a momentum above 0: set nesterov: false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration(Bounded):
    """All that decides one training, except its seed."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    experts: ExpertsConfig = field(default_factory=ExpertsConfig)
    mixup: MixupConfig = field(default_factory=MixupConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
