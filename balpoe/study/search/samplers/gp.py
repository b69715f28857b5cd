"""Bayesian optimisation with a Gaussian process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from balpoe.config import Configuration
from balpoe.config.assignment import Search
from balpoe.config.sampler import SAMPLERS, SamplerConfig

MOST_OBJECTIVES: Final = 4
"""With more, Optuna 5.0 takes too long to decompose their hypervolume."""


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class GPConfig(SamplerConfig):
    """A Gaussian process takes parameters that every trial has, and at most four objectives."""

    name: Literal["gp"] = "gp"

    optuna_sampler: ClassVar[str] = "optuna.samplers:GPSampler"
    learns_from_others: ClassVar[bool] = True
    needs_every_parameter: ClassVar[bool] = True

    def further_refusals(
        self, search: Search, base: Configuration, objectives: Sequence[str]
    ) -> Iterator[str]:
        """Refuse more than four objectives."""
        if len(objectives) > MOST_OBJECTIVES:
            beyond = ", ".join(objectives[MOST_OBJECTIVES:])
            yield f"gp takes at most {MOST_OBJECTIVES} objectives: leave out {beyond}, or use tpe"
