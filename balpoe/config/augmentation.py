"""How training images are varied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated

from balpoe.config.bounds import Bounded, Bounds, Fraction, Index, NonNegative
from balpoe.config.plain import ADDED, ADDED_SECTION
from balpoe.config.tables import Entry, Table
from balpoe.errors import FieldProblem

Side = Annotated[int, Bounds(at_least=0, at_most=4096)]
Level = Annotated[float, Bounds(at_least=0, at_most=10)]
Few = Annotated[int, Bounds(at_least=0, at_most=10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugmentConfig(Bounded):
    """RandAugment (Cubuk et al., 2020) as the released code has it.

    Each image is given `operations` random operations; each of them happens with
    `probability`, with a magnitude of 0..10 that is drawn normally around `magnitude`.
    """

    operations: Few = 0
    magnitude: Level = 10.0
    magnitude_sd: NonNegative = 0.5
    probability: Fraction = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Entry):
    """The settings of an augmentation policy; abstract."""

    name: str


POLICIES = Table(Policy, package="balpoe.training.policies", group="balpoe.augmentation")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationConfig(Bounded):
    """Random crop after zero padding, flip, rotation, then changes of colour and shape.

    With `resized_crop` training images are RandomResizedCrops (8 to 100 % of the area) of so
    many pixels; in evaluation the shorter side is resized to 8/7 of it and the centre is taken:
    256 and 224 for ImageNet. `colour_jitter` is the most by which brightness, contrast and
    saturation change, in a random order. `auto_augment` is AutoAugment with the CIFAR-10 policy.
    `policies` are applied after these, in their order.
    """

    crop_padding: Index = 0
    flip: bool = False
    rotation_degrees: NonNegative = 0.0
    resized_crop: Side = field(default=0, metadata=ADDED)
    colour_jitter: Fraction = field(default=0.0, metadata=ADDED)
    auto_augment: bool = field(default=False, metadata=ADDED)
    rand_augment: RandAugmentConfig = field(default_factory=RandAugmentConfig, metadata=ADDED)
    policies: tuple[Policy, ...] = field(default=(), metadata=ADDED_SECTION)

    def further_problems(self) -> Iterator[FieldProblem]:
        """A resized crop replaces the other ways to cut and turn an image."""
        if self.resized_crop and (self.crop_padding or self.rotation_degrees):
            message = "does not go with crop_padding or rotation_degrees: leave them at 0"
            yield FieldProblem("resized_crop", message)
