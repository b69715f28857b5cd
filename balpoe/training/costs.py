"""The costs of a configuration in the order of the classes of its data."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from balpoe.config import CostMatrix
from balpoe.errors import DataError

_MOST_NAMED = 3


def cost_tensor(cost: CostMatrix | None, class_names: Sequence[str]) -> Tensor | None:
    """Return the costs by true and predicted class, float64 [C, C]; None without costs.

    Raises:
        DataError: the costs are not those of the classes.
    """
    if cost is None:
        return None
    refuse_other_classes(cost, class_names)
    return torch.tensor(cost.in_order(class_names), dtype=torch.float64)


def refuse_other_classes(cost: CostMatrix, class_names: Sequence[str], place: str = "cost") -> None:
    """Refuse costs of other classes; `place` is where the costs are, for the message.

    Raises:
        DataError: the message names the first classes that differ.
    """
    mismatches = [message for _, message in cost.mismatches(class_names)]
    if mismatches:
        more = len(mismatches) - _MOST_NAMED
        listed = "; ".join(mismatches[:_MOST_NAMED])
        raise DataError(f"{place}: {listed}{f'; and {more} more' if more > 0 else ''}")
