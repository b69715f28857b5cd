"""AutoAugment with the CIFAR-10 policy (Cubuk et al., CVPR 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from balpoe.config.augmentation import POLICIES, Policy


@POLICIES.add
@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAugmentConfig(Policy):
    """The 25 sub-policies that AutoAugment found for CIFAR-10."""

    name: Literal["auto_augment"] = "auto_augment"
