"""How training images are varied, and the table of augmentation policies.

N images, L operations in a row, B batch, H height, W width, D channels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from balpoe.config.bounds import Bounded, Bounds, Fraction, Index, NonNegative
from balpoe.config.entry_tables import Entry, Table
from balpoe.config.plain_data import ADDED, ADDED_SECTION, to_plain
from balpoe.errors import FieldProblem

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

Side = Annotated[int, Bounds(at_least=0, at_most=4096)]
Level = Annotated[float, Bounds(at_least=0, at_most=10)]
Few = Annotated[int, Bounds(at_least=0, at_most=10)]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugmentConfig(Bounded):
    """RandAugment (Cubuk et al., 2020); 0 operations switch it off.

    The other fields are those of the policy `rand_augment`.
    """

    operations: Few = 0
    magnitude: Level = 10.0
    magnitude_sd: NonNegative = 0.5
    probability: Fraction = 0.5


@dataclass(frozen=True, eq=False, slots=True)
class DrawnOperations:
    """L operations in a row for each of N images, and their magnitudes."""

    operation_nl: npt.NDArray[np.int32]
    magnitude_nl: npt.NDArray[np.float32]


Operations = frozenset[int]
"""Members of `balpoe.training.augmentation.operations.Operation`, or numbers of a policy."""

Kernel = Callable[["Tensor", "Tensor", "Tensor"], "Tensor"]
"""Apply operations [B] with magnitudes [B] to images uint8 [B, H, W, D].

Images with other operations stay as they are. No value may be read on
the host and no shape may depend on a value, so that a CUDA graph can capture the step.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy(Entry, ABC):
    """The settings of an augmentation policy, which chooses operations for each image; abstract.

    A policy is applied to images with 1 or 3 channels.
    """

    name: str

    @property
    @abstractmethod
    def possible(self) -> tuple[Operations, ...]:
        """The operations that may be chosen at each of the L places."""

    @abstractmethod
    def draw(self, images: int, generator: np.random.Generator) -> DrawnOperations:
        """Choose the operations of N = `images` images; 0 leaves an image as it is."""

    def kernels(self) -> tuple[tuple[Operations, Kernel], ...]:
        """Return the operations that only this policy has, numbered from 100, and their kernels."""
        return ()


POLICIES = Table(
    Policy,  # type: ignore[type-abstract]
    package="balpoe.training.policies",
    group="balpoe.augmentation",
)


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

    def all_policies(self) -> tuple[Policy, ...]:
        """Return the policies of the single fields and of `policies`, in the order of use."""
        chosen: list[Policy] = []
        if self.colour_jitter:
            chosen.append(POLICIES["colour_jitter"](strength=self.colour_jitter))
        if self.auto_augment:
            chosen.append(POLICIES["auto_augment"]())
        if self.rand_augment.operations:
            chosen.append(POLICIES["rand_augment"](**to_plain(self.rand_augment)))
        return (*chosen, *self.policies)
