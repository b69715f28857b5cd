"""The costs of a configuration in the order of the classes of its data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config import CostMatrix
from balpoe.errors import DataError


def cost_tensor(cost: CostMatrix | None, class_names: Sequence[str]) -> Tensor | None:
    """Return the costs by true and predicted class, float64 [C, C]; None without costs.

    Raises:
        DataError: the costs are not those of the classes; every class that differs is named.
    """
    if cost is None:
        return None
    mismatches = [f"cost: {message}" for _, message in cost.mismatches(class_names)]
    if mismatches:
        raise DataError("\n".join(mismatches))
    return torch.tensor(cost.in_order(class_names), dtype=torch.float64)
