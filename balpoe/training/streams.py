"""The random streams of a training: one seed, one stream for each purpose.

A stream depends on the seed, its purpose and the epoch alone. So an epoch can be drawn again
after a restart, an augmentation that is switched off leaves the draws of the others as they are,
and configurations with the same seed visit the images in the same order: they can be compared in
pairs.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from enum import IntEnum
from typing import Final

import numpy as np
import torch


class Purpose(IntEnum):
    """The purposes of streams. The numbers decide what a seed means: never renumber them."""

    WEIGHTS = 0
    ORDER = 1
    CROP = 2
    FLIP = 3
    ROTATION = 4
    MIXING = 5
    PAIRING = 6
    RESIZED_CROP = 7
    PARTNERS = 11  # 8 to 10 are those of policies
    CLASSIFIERS = 12


_POLICY_PURPOSES: Final = {"colour_jitter": 8, "auto_augment": 9, "rand_augment": 10}
_NAMED_POLICIES = 2**32
_PARTNERS = 2**32
_NEXT_OF_THE_SAME_NAME = 2**40


def random_stream(seed: int, purpose: int, epoch: int) -> np.random.Generator:
    """Return the generator for one purpose in one epoch."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, epoch)))


def policy_streams(seed: int, names: Sequence[str], epoch: int) -> list[np.random.Generator]:
    """Return a generator for each of the augmentation policies with these names in one epoch.

    The stream of a policy depends on its name, and on how often the name occurs before it.
    """
    purposes = (
        _POLICY_PURPOSES.get(name, _NAMED_POLICIES + zlib.crc32(name.encode()))
        + names[:place].count(name) * _NEXT_OF_THE_SAME_NAME
        for place, name in enumerate(names)
    )
    return [random_stream(seed, purpose, epoch) for purpose in purposes]


def weight_generator(seed: int) -> torch.Generator:
    """Return the generator that initialises the weights of a network."""
    return _torch_generator(seed, Purpose.WEIGHTS)


def classifier_generator(seed: int) -> torch.Generator:
    """Return the generator that initialises the classifiers of a network for a second stage."""
    return _torch_generator(seed, Purpose.CLASSIFIERS)


def _torch_generator(seed: int, purpose: Purpose) -> torch.Generator:
    sequence = np.random.SeedSequence(seed, spawn_key=(purpose,))
    return torch.Generator().manual_seed(_non_negative_int64(sequence))


def network_seed(seed: int, network: int) -> int:
    """Return the seed with which network `network` of an ensemble can be trained by itself.

    An independent expert is, bit for bit, the single expert that is trained with this seed;
    the first network has the seed of the ensemble.
    """
    if network == 0:
        return seed
    return _non_negative_int64(np.random.SeedSequence((seed, network)))


def partner_seed(seed: int) -> int:
    """Return the seed of the draws for partners from the whole training set."""
    return _non_negative_int64(np.random.SeedSequence((seed, _PARTNERS)))


def _non_negative_int64(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
