"""Which policies a configuration asks for."""

from __future__ import annotations

from collections.abc import Iterator

from balpoe.config import AugmentationConfig
from balpoe.training.auto_augment import AutoAugment
from balpoe.training.colour_jitter import ColourJitter
from balpoe.training.policy import Policy
from balpoe.training.rand_augment import RandAugment


def configured_policies(augmentation: AugmentationConfig) -> tuple[Policy, ...]:
    """The policies in the order in which they change an image."""
    return tuple(_policies(augmentation))


def _policies(augmentation: AugmentationConfig) -> Iterator[Policy]:
    if augmentation.colour_jitter:
        yield ColourJitter(augmentation.colour_jitter)
    if augmentation.auto_augment:
        yield AutoAugment()
    if augmentation.rand_augment.operations:
        yield RandAugment(augmentation.rand_augment)
