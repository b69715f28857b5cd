"""No second stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.second_stage import SECOND_STAGES, SecondStage


@SECOND_STAGES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class NoSecondStage(SecondStage):
    """The model is that of the first stage."""

    name: Literal["none"] = "none"
