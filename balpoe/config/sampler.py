"""The table of samplers: how the trials of a study are proposed (Optuna 5.0)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from balpoe.config.assignment import Search, conditional_parameters
from balpoe.config.bounds import Seed
from balpoe.config.configuration import Configuration
from balpoe.config.entry_tables import Entry, Table
from balpoe.config.fields import Choice

DEFAULT_SAMPLER: Final = "tpe"


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerConfig(Entry):
    """The settings of a sampler; abstract. Without a `seed` it has the study's.

    `optuna_sampler` names the class of Optuna's sampler, ``package.module:class``; it takes a
    `seed` and the `options`.
    """

    name: str
    seed: Seed | None = None

    optuna_sampler: ClassVar[str]
    learns_from_others: ClassVar[bool] = False
    """Whether the sampler learns from trials that it did not propose."""
    learns_constraints: ClassVar[bool] = True
    """Whether the sampler prefers trials that violate no constraint."""
    needs_every_parameter: ClassVar[bool] = False
    """Whether the sampler learns only about parameters that every trial has."""
    is_exhaustive: ClassVar[bool] = False
    """Whether the sampler proposes its planned points and nothing else."""

    def options(self, objectives: int) -> dict[str, Any]:
        """Return the arguments of Optuna's sampler for a study with so many objectives."""
        return {}

    def planned_points(
        self, search: Search, base: Configuration, seed: int
    ) -> Sequence[dict[str, Choice]]:
        """Return the points that are planned before any trial has run."""
        return ()

    def refusals(
        self, search: Search, base: Configuration, objectives: Sequence[str]
    ) -> Iterator[str]:
        """Yield why the sampler cannot take these parameters or objectives, each by name."""
        if self.needs_every_parameter:
            for path in conditional_parameters(search):
                yield (
                    f"{self.name} cannot take {path}, which some trials lack: drop its condition "
                    f"(experts.spread and experts.sharing need experts.count from 2 on), or use tpe"
                )
        yield from self.further_refusals(search, base, objectives)

    def further_refusals(
        self, search: Search, base: Configuration, objectives: Sequence[str]
    ) -> Iterator[str]:
        """Yield further reasons of one sampler."""
        return iter(())

    def seed_in(self, study_seed: int) -> int:
        """Return the sampler's own seed, or the study's."""
        return study_seed if self.seed is None else self.seed


SAMPLERS = Table(SamplerConfig, package="balpoe.study.search.samplers", group="balpoe.samplers")
