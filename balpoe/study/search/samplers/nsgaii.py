"""NSGA-II (Deb et al., 2002, A Fast and Elitist Multiobjective Genetic Algorithm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from balpoe.config.sampler import SAMPLERS, SamplerConfig

if TYPE_CHECKING:
    from optuna.samplers import NSGAIISampler

POPULATION: Final = 20
"""Trials in a generation; Optuna's default of 50 would spend most budgets on the first one."""


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class NSGAIIConfig(SamplerConfig):
    """NSGA-II takes parameters that every trial has; it would draw others at random."""

    name: Literal["nsgaii"] = "nsgaii"

    needs_every_parameter: ClassVar[bool] = True

    def optuna_sampler(self, seed: int, objectives: int) -> NSGAIISampler:
        """Return Optuna's sampler; it breeds from its own generations only."""
        from optuna.samplers import NSGAIISampler

        return NSGAIISampler(seed=seed, population_size=POPULATION)
