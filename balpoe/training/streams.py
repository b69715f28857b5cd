"""Where the randomness of a training comes from: one seed, one stream for each purpose.

A stream depends on the seed, its purpose and the epoch, and on nothing else. So an epoch can
be drawn again after a restart, switching one augmentation off leaves the others' draws as they
were, and configurations that share a seed see the same order of images: they can be compared
in pairs.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What is drawn. The numbers are part of what a seed means: never renumber them."""

    WEIGHTS = 0
    ORDER = 1
    CROP = 2
    FLIP = 3
    ROTATION = 4
    MIXING = 5
    PAIRING = 6
    RESIZED_CROP = 7
    COLOUR_JITTER = 8
    AUTO_AUGMENT = 9
    RAND_AUGMENT = 10


def random_stream(seed: int, purpose: Purpose, epoch: int) -> np.random.Generator:
    """The generator for one purpose in one epoch."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, epoch)))


def weight_generator(seed: int) -> torch.Generator:
    """The generator that initialises the weights of a network."""
    sequence = np.random.SeedSequence(seed, spawn_key=(Purpose.WEIGHTS,))
    return torch.Generator().manual_seed(_non_negative_int64(sequence))


def network_seed(seed: int, network: int) -> int:
    """The seed with which network `network` of an ensemble can be trained alone.

    An independent expert is, bit for bit, the single expert that is trained with this seed;
    the first one's is the ensemble's own.
    """
    if network == 0:
        return seed
    return _non_negative_int64(np.random.SeedSequence((seed, network)))


def _non_negative_int64(sequence: np.random.SeedSequence) -> int:
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))
