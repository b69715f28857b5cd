"""Random search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from balpoe.config.sampler import SAMPLERS, SamplerConfig


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class RandomConfig(SamplerConfig):
    """Random search takes all parameters and objectives."""

    name: Literal["random"] = "random"

    optuna_sampler: ClassVar[str] = "optuna.samplers:RandomSampler"
    learns_constraints: ClassVar[bool] = False
