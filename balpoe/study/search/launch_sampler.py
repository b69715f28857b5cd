"""The sampler of one launch of a study."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler

from balpoe.config import StudySpec
from balpoe.config.entry_tables import load_object


def launch_sampler(spec: StudySpec, launch: int) -> BaseSampler:
    """Return the sampler of launch number `launch`.

    Each launch has a seed of its own: with the same seed it would repeat the draws of the first.
    """
    own = spec.sampler.seed_in(spec.seed)
    seed = int(np.random.SeedSequence((own, launch)).generate_state(1)[0])
    sampler: Callable[..., BaseSampler] = load_object(spec.sampler.optuna_sampler)
    with warnings.catch_warnings():
        # TPE's `group` is experimental since Optuna 2.8
        warnings.simplefilter("ignore", ExperimentalWarning)
        return sampler(seed=seed, **spec.sampler.options(len(spec.objectives)))
