"""Optuna's samplers, seeded for one launch."""

from __future__ import annotations

import numpy as np
from optuna import samplers

from balpoe.config import SamplerConfig, StudySpec
from balpoe.config.assignment import conditional_parameters

POPULATION = 20
"""Trials in a generation of NSGA-II: Optuna's 50 would spend most budgets on the first one."""


def sampler_for(spec: StudySpec, launch: int) -> samplers.BaseSampler:
    """The sampler of launch number `launch`; one seeded as before would repeat its draws.

    A grid is planned trial by trial, so that its sampler has nothing to decide.
    """
    seed = launch_seed(spec.sampler, spec.seed, launch)
    match spec.sampler.name:
        case "tpe":
            # the joint model of one objective knows only parameters that every trial has
            joint = False if conditional_parameters(spec.search) else None
            return samplers.TPESampler(seed=seed, multivariate=joint)
        case "nsgaii":
            return samplers.NSGAIISampler(seed=seed, population_size=POPULATION)
        case "gp":
            return samplers.GPSampler(seed=seed)
        case "random" | "grid":
            return samplers.RandomSampler(seed=seed)


def launch_seed(sampler: SamplerConfig, study_seed: int, launch: int) -> int:
    """The sampler's seed for a launch, from its own seed or the study's."""
    own = study_seed if sampler.seed is None else sampler.seed
    return int(np.random.SeedSequence((own, launch)).generate_state(1)[0])
