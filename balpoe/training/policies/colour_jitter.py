"""Random changes of brightness, contrast and saturation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.augmentation import POLICIES, Policy
from balpoe.config.bounds import Fraction


@POLICIES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class ColourJitterConfig(Policy):
    """Brightness, contrast and saturation change by at most `strength`, in a random order."""

    name: Literal["colour_jitter"] = "colour_jitter"
    strength: Fraction = 0.4
