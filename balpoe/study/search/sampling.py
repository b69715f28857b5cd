"""Optuna's samplers, seeded for one launch."""

from __future__ import annotations

import warnings

import numpy as np
from optuna import samplers
from optuna.exceptions import ExperimentalWarning

from balpoe.config import SamplerConfig, StudySpec

POPULATION = 20
"""Trials in a generation of NSGA-II: Optuna's 50 would spend most budgets on the first one."""


def sampler_for(spec: StudySpec, launch: int) -> samplers.BaseSampler:
    """The sampler of launch number `launch`; one seeded as before would repeat its draws.

    A grid is planned trial by trial, so that its sampler has nothing to decide.
    """
    seed = launch_seed(spec.sampler, spec.seed, launch)
    match spec.sampler.name:
        case "tpe":
            return _tpe(seed, objectives=len(spec.objectives))
        case "nsgaii":
            return samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
        case "gp":
            return samplers.GPSampler(seed=seed)
        case "random" | "grid":
            return samplers.RandomSampler(seed=seed)


def _tpe(seed: int, objectives: int) -> samplers.BaseSampler:
    """Optuna models parameters jointly for one objective, and each by itself for several.

    Its joint model needs groups where some trials lack parameters: under a condition, or at a
    known point outside the search space.
    """
    if objectives > 1:
        return samplers.TPESampler(seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # groups are, since 2020
        return samplers.TPESampler(seed=seed, multivariate=True, group=True)


def launch_seed(sampler: SamplerConfig, study_seed: int, launch: int) -> int:
    """The sampler's seed for a launch, from its own seed or the study's."""
    own = study_seed if sampler.seed is None else sampler.seed
    return int(np.random.SeedSequence((own, launch)).generate_state(1)[0])
