"""The tree-structured Parzen estimator (Bergstra et al., 2011)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from balpoe.config.sampler import SAMPLERS, SamplerConfig


@SAMPLERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class TPEConfig(SamplerConfig):
    """TPE takes all parameters and objectives."""

    name: Literal["tpe"] = "tpe"

    optuna_sampler: ClassVar[str] = "optuna.samplers:TPESampler"
    learns_from_others: ClassVar[bool] = True

    def options(self, objectives: int) -> dict[str, Any]:
        """Model parameters jointly for one objective, and each by itself for several.

        The joint model needs groups where some trials lack parameters: under a condition, or at a
        known point outside the search space.
        """
        return {"multivariate": True, "group": True} if objectives == 1 else {}
