"""The tree-structured Parzen estimator (Bergstra et al., 2011)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from balpoe.config.sampler import SAMPLERS, SamplerConfig

if TYPE_CHECKING:
    from optuna.samplers import TPESampler


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class TPEConfig(SamplerConfig):
    """TPE takes all parameters and objectives."""

    name: Literal["tpe"] = "tpe"

    learns_from_others: ClassVar[bool] = True

    def optuna_sampler(self, seed: int, objectives: int) -> TPESampler:
        """Return a sampler that models parameters jointly for one objective, else separately.

        The joint model needs groups where some trials lack parameters: under a condition, or at a
        known point outside the search space.
        """
        from optuna.exceptions import ExperimentalWarning
        from optuna.samplers import TPESampler

        if objectives > 1:
            return TPESampler(seed=seed)
        with warnings.catch_warnings():
            # `group` is experimental since Optuna 2.8
            warnings.simplefilter("ignore", ExperimentalWarning)
            return TPESampler(seed=seed, multivariate=True, group=True)
