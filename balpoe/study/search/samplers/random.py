"""Random search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from balpoe.config.sampler import SAMPLERS, SamplerConfig

if TYPE_CHECKING:
    from optuna.samplers import RandomSampler


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class RandomConfig(SamplerConfig):
    """Random search takes all parameters and objectives."""

    name: Literal["random"] = "random"

    learns_constraints: ClassVar[bool] = False

    def optuna_sampler(self, seed: int, objectives: int) -> RandomSampler:
        """Return Optuna's sampler."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)
