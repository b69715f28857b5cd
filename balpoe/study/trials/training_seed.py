"""The seed of a training, the same for all parameters."""

from __future__ import annotations

import numpy as np


def training_seed(study_seed: int, repeat: int) -> int:
    """The seed of a training.

    It does not depend on the trial, so that configurations share seeds and can be compared
    in pairs.
    """
    return int(np.random.SeedSequence((study_seed, repeat)).generate_state(1)[0])
