"""NSGA-II (Deb et al., 2002, A Fast and Elitist Multiobjective Genetic Algorithm)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal

from balpoe.config.sampler import SAMPLERS, SamplerConfig

POPULATION: Final = 20
"""Trials in a generation; Optuna's default of 50 would spend most budgets on the first one."""


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class NSGAIIConfig(SamplerConfig):
    """NSGA-II takes parameters that every trial has; it would draw others at random."""

    name: Literal["nsgaii"] = "nsgaii"

    optuna_sampler: ClassVar[str] = "optuna.samplers:NSGAIISampler"
    needs_every_parameter: ClassVar[bool] = True

    def options(self, objectives: int) -> dict[str, Any]:
        """Return the size of a generation."""
        return {"population_size": POPULATION}
