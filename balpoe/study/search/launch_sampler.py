"""The sampler of one launch of a study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from balpoe.config import StudySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def launch_sampler(spec: StudySpec, launch: int) -> BaseSampler:
    """Return the sampler of launch number `launch`.

    Each launch has a seed of its own: with the same seed it would repeat the draws of the first.
    """
    own = spec.sampler.seed_in(spec.seed)
    seed = int(np.random.SeedSequence((own, launch)).generate_state(1)[0])
    sampler: BaseSampler = spec.sampler.optuna_sampler(seed, len(spec.objectives))
    return sampler
