"""Mixup (Zhang et al., 2018): one ξ and one permutation for each batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.mixing import MIXERS, Mixer


@MIXERS.add
@dataclass(frozen=True, slots=True, kw_only=True)
class Mixup(Mixer):
    """ξ·x + (1 − ξ)·x_partner with ξ ~ Beta(α, α)."""

    name: Literal["mixup"] = "mixup"
