"""The class frequencies to predict for, in the forms that a user can give.

C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor

from balpoe.config.wording import did_you_mean, shown
from balpoe.data.splits import DataDescription
from balpoe.errors import DataError
from balpoe.method.priors import SUM_TOLERANCE, class_prior

NAMED = ("train", "uniform", "estimate")

Shares = Sequence[float] | Mapping[str, float] | NDArray[Any] | Tensor
TargetPrior = Literal["train", "uniform", "estimate"] | Shares
"""`train` (the frequencies of the training images), `uniform`, `estimate` (from the predicted
images and the held-out images of the model), or probabilities or counts: one per class in order, or
by the classes' names."""


def is_estimate(target: TargetPrior | None) -> bool:
    """Whether the frequencies are estimated from the predicted images."""
    return isinstance(target, str) and target == "estimate"


def known_prior(target: TargetPrior, description: DataDescription) -> Tensor:
    """The frequencies of `target`, which is not `estimate`: float64 [C], sum 1.

    Raises:
        DataError: `target` is not a prior of these classes.
    """
    classes = len(description.class_names)
    if isinstance(target, str):
        if target == "train":
            return class_prior(description.class_counts)
        if target == "uniform":
            return torch.full((classes,), 1 / classes, dtype=torch.float64)
        raise _invalid(target, classes)
    in_order = target
    if isinstance(target, Mapping):
        in_order = _in_order(target, description.class_names)
    try:
        shares = [float(share) for share in in_order]
    except (TypeError, ValueError, OverflowError) as error:
        raise _invalid(target, classes) from error
    return _frequencies(shares, classes)


def _invalid(target: Any, classes: int) -> DataError:
    return DataError(
        f"target_prior: must be {', '.join(NAMED)} or numbers for the {classes} classes, got "
        f"{shown(target)}"
    )


def _in_order(target: Mapping[str, float], class_names: Sequence[str]) -> list[float]:
    for name in target:
        if name not in class_names:
            raise DataError(
                f"target_prior: {shown(name)} is not a class of the model"
                f"{did_you_mean(str(name), class_names)}"
            )
    missing = [name for name in class_names if name not in target]
    if missing:
        raise DataError(
            f"target_prior: {len(missing)} of {len(class_names)} classes are missing (the first "
            f"is {shown(missing[0])}): give each a share; a class of 0 is never predicted"
        )
    return [target[name] for name in class_names]


def _frequencies(shares: Sequence[float], classes: int) -> Tensor:
    if len(shares) != classes:
        raise DataError(
            f"target_prior: must be {classes} numbers, one per class, got {len(shares)}"
        )
    for y, share in enumerate(shares):
        if not math.isfinite(share) or share < 0:
            raise DataError(f"target_prior: class {y} has {share:g}: must be finite and at least 0")
    total = math.fsum(shares)
    counts = total > 0 and all(share == int(share) for share in shares)
    if not counts and abs(total - 1) > SUM_TOLERANCE:
        raise DataError(
            f"target_prior: sums to {total:g}: must be probabilities, which sum to 1, or counts, "
            "which are whole numbers"
        )
    return torch.tensor(shares, dtype=torch.float64) / total
