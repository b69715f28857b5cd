"""Decisions by the costs of errors.

B batch, C classes; a cost matrix [C, C] has a row for each true and a column for each predicted
class.
"""

from __future__ import annotations

from torch import Tensor


def decisions(probabilities: Tensor, cost_cc: Tensor | None) -> Tensor:
    """Return the class to predict for probabilities [..., C]: int64 [...].

    With costs it is the class ŷ of least expected cost Σ_y p(y|x)·cost(y, ŷ) (Elkan, IJCAI 2001,
    eq. 1), the first of several; without costs, or with cost 1 for every error, it is the most
    probable class.
    """
    if cost_cc is None:
        return probabilities.argmax(dim=-1)
    return (probabilities.double() @ cost_cc).argmin(dim=-1)
