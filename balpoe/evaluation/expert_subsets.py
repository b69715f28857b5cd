"""Which experts may answer without the others and still stand for a balanced set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from balpoe.errors import DataError

MOST_EXPERTS = 9  # 511 subsets, of which 31 balance where the λs are equidistant
_ROUNDING = 1e-9  # of λs that were written down in decimals


def balanced_subsets(lambdas: Sequence[float]) -> tuple[tuple[int, ...], ...]:
    """The indices of every subset whose mean λ is 0 (Corollary 1.1): the smallest first.

    All experts together are one of them where λ̄ = 0; there may be none at all.

    Raises:
        DataError: there are too many experts to look at all subsets.
    """
    count = len(lambdas)
    if count > MOST_EXPERTS:
        raise DataError(
            f"subsets of {count} experts: there are 2^{count}; at most {MOST_EXPERTS} experts can "
            "be looked at"
        )
    scale = max((abs(lam) for lam in lambdas), default=0.0)
    return tuple(
        subset
        for size in range(1, count + 1)
        for subset in combinations(range(count), size)
        if abs(math.fsum(lambdas[e] for e in subset)) <= _ROUNDING * max(scale, 1.0)
    )
