"""Who proposes the trials of a study, and what each sampler can take (Optuna 5.0).

``tpe`` and ``random`` take anything. ``nsgaii`` and ``gp`` take parameters that every trial
has (others they would draw at random), ``gp`` at most four objectives (beyond, Optuna's
division of their hypervolume gets too slow). ``grid`` takes parameters with finitely many values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from balpoe.config.assignment import Search, conditional_parameters
from balpoe.config.bounds import Bounded, Seed
from balpoe.config.configuration import Configuration
from balpoe.config.grid import MOST_POINTS, has_more_points_than
from balpoe.config.search_space import FloatParameter

MOST_GP_OBJECTIVES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig(Bounded):
    """A sampler by name; without a seed of its own it takes the study's."""

    name: Literal["tpe", "random", "nsgaii", "gp", "grid"] = "tpe"
    seed: Seed | None = None

    @property
    def learns_from_others(self) -> bool:
        """Whether trials that it did not propose guide it; `nsgaii` breeds its own generations."""
        return self.name in ("tpe", "gp")

    @property
    def needs_every_parameter(self) -> bool:
        """Whether it learns only about parameters that every trial has."""
        return self.name in ("nsgaii", "gp")


def refusals(
    sampler: SamplerConfig, search: Search, base: Configuration, objectives: Sequence[str]
) -> Iterator[str]:
    """Why a sampler cannot take these parameters or objectives, each by name."""
    if sampler.needs_every_parameter:
        for path in conditional_parameters(search):
            yield (
                f"{sampler.name} cannot take {path}, which some trials lack: drop its condition "
                f"(experts.spread and experts.sharing need experts.count from 2 on), or use tpe"
            )
    if sampler.name == "gp" and len(objectives) > MOST_GP_OBJECTIVES:
        beyond = ", ".join(objectives[MOST_GP_OBJECTIVES:])
        yield f"gp takes at most {MOST_GP_OBJECTIVES} objectives: leave out {beyond}, or use tpe"
    if sampler.name == "grid":
        yield from _refused_by_grid(search, base)


def _refused_by_grid(search: Search, base: Configuration) -> Iterator[str]:
    endless = [path for path, parameter in search.items() if isinstance(parameter, FloatParameter)]
    for path in endless:
        yield f"grid cannot take {path}, a range of numbers: give choices (type: categorical)"
    if not endless and has_more_points_than(MOST_POINTS, search, base):
        yield f"grid has more than {MOST_POINTS} points: narrow search, or use random"
