"""Class priors, and the target priors of biased experts.

E experts, C classes. Priors are float64 for any precision of the network.

    π    share of each class in the training images
    λ    bias of an expert, for all classes or for each one
    P_λ  target prior π^λ / Σ_j π_j^λ: λ = 1 gives π, 0 the uniform, −1 the inverse long tail
    P_e  the target prior of expert e for any loss: P_λ for logit adjustment
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from balpoe.errors import DataError, NonFiniteError

SUM_TOLERANCE = 1e-4  # float32 shares of 8142 classes still pass, counts and percentages do not
_ROUNDING = 1e-9  # of λs that are written in decimals


@dataclass(frozen=True, eq=False, slots=True)
class ExpertPriors:
    """The target prior P_e of each expert: its logits learn f_e = log P(x|y) + log P_e(y).

    Attributes:
        log_priors_ec: log P_e up to a constant for each expert, float64 [E, C], on the CPU.
        log_drawn_c: The log of the share of each class in the training draws times its weight in
            the loss, up to a constant, float64 [C]: log π unless classes are sampled or weighted.
    """

    log_priors_ec: Tensor
    log_drawn_c: Tensor

    @property
    def count(self) -> int:
        """The number of experts."""
        return len(self.log_priors_ec)

    @property
    def each_ec(self) -> Tensor:
        """The prior P_e of each expert: float64 [E, C]."""
        return self.log_priors_ec.softmax(dim=-1)

    @property
    def of_scorers_mc(self) -> Tensor:
        """The prior of each expert, then that of their product: float64 [E + 1, C]."""
        return torch.cat([self.each_ec, self.of_product().unsqueeze(0)])

    def of_product(self, experts: Sequence[int] | None = None) -> Tensor:
        """Return the prior of the product of some experts, by default of all: float64 [C].

        The logits of the product are the mean of theirs, and so is its log prior, up to a constant:
        P_λ̄ for logit adjustment (paper, Theorem 1).
        """
        return self._of(experts).mean(dim=0).softmax(dim=-1)

    def is_uniform(self, experts: Sequence[int] | None = None) -> bool:
        """Whether the product of some experts, by default of all, aims at the uniform prior.

        For logit adjustment its experts have λ̄ = 0 (paper, Corollary 1.1), unless π is uniform.
        """
        chosen_ec = self._of(experts)
        sums_c = chosen_ec.sum(dim=0)
        scale = float((chosen_ec.amax(dim=1) - chosen_ec.amin(dim=1)).max())
        return float(sums_c.max() - sums_c.min()) <= _ROUNDING * max(scale, 1.0)

    @property
    def training_offsets_ec(self) -> Tensor:
        """What the training adds to the logits, up to a constant: float64 [E, C].

        f_e plus its offset has the prior of the draws for every expert. For logit adjustment it is
        (1 − λ)·log π.
        """
        return self.log_drawn_c - self.log_priors_ec

    def equals(self, other: ExpertPriors) -> bool:
        """Whether every expert and the draws have the same priors as in `other`, but rounding."""
        mine = torch.cat([self.each_ec, self.log_drawn_c.softmax(dim=-1).unsqueeze(0)])
        theirs = torch.cat([other.each_ec, other.log_drawn_c.softmax(dim=-1).unsqueeze(0)])
        return mine.shape == theirs.shape and torch.allclose(mine, theirs, rtol=_ROUNDING, atol=0)

    def _of(self, experts: Sequence[int] | None) -> Tensor:
        return self.log_priors_ec if experts is None else self.log_priors_ec[list(experts)]


def class_prior(class_counts: Sequence[int] | Tensor) -> Tensor:
    """Return the prior π, float64 [C], of a training set with these images per class.

    Raises:
        DataError: a class has no images: its log prior would be infinite.
    """
    counts_c = torch.as_tensor(class_counts).to(torch.float64)
    empty = (counts_c == 0).nonzero().flatten().tolist()
    if empty:
        raise DataError(
            f"{_classes(empty)}: 0 training images (of {len(counts_c)} classes); every class "
            "needs at least one: lower the imbalance ratio, raise the head count or leave "
            "empty classes out"
        )
    return counts_c / counts_c.sum()


def target_prior(prior_c: Tensor, lam: float | Tensor) -> Tensor:
    """Return P_λ, float64 [C], for one λ or one λ per class [C] (paper, eq. 7).

    `prior_c` must be above 0 everywhere, as returned by `class_prior`.
    """
    return (lam * prior_c.to(torch.float64).log()).softmax(dim=-1)


def expert_lambdas(count: int, spread: float, centre: float = 0.0) -> tuple[float, ...]:
    """Return `count` equidistant biases from `centre + spread` down to `centre - spread`.

    A single expert gets `centre`. Around 0 the biases are symmetric to the last bit.
    """
    steps = max(count - 1, 1)
    return tuple(centre + spread * ((count - 1 - 2 * e) / steps) for e in range(count))


def mean_lambda(lambdas: Sequence[float]) -> float:
    """Return λ̄, the bias of the product of experts (paper, Theorem 1)."""
    return math.fsum(lambdas) / len(lambdas)


def adjust_to_prior(logits: Tensor, *, trained_prior_c: Tensor, test_prior_c: Tensor) -> Tensor:
    """Adjust logits [..., C] of a scorer from its target prior to a test prior.

    Adds log P_test − log P_trained (paper, eq. 5, where P_train is the target prior of the
    scorer: P_λ̄ for a product of experts). A class with test prior 0 gets the logit −∞ and is
    never predicted.

    Raises:
        NonFiniteError: logits or a prior hold NaN or infinity.
        DataError: `test_prior_c` is not a distribution, or `trained_prior_c` has a 0.
    """
    assert logits.shape[-1] == len(trained_prior_c) == len(test_prior_c)
    _refuse_non_finite("logits", logits)
    _refuse_non_finite("trained prior", trained_prior_c)
    _refuse_non_finite("test prior", test_prior_c)
    _refuse_other_than_a_distribution(test_prior_c)
    untrained = (trained_prior_c <= 0).nonzero().flatten().tolist()
    if untrained:
        raise DataError(
            f"{_classes(untrained)}: trained towards a prior of 0, which no adjustment can "
            "undo: choose a λ nearer 0"
        )
    shift_c = test_prior_c.to(torch.float64).log() - trained_prior_c.to(torch.float64).log()
    return logits + shift_c.to(logits)


def _refuse_non_finite(name: str, values: Tensor) -> None:
    finite = torch.isfinite(values)
    if not finite.all():
        bad, first = int((~finite).sum()), float(values[~finite][0])
        raise NonFiniteError(
            f"{name}: {bad} of {values.numel()} values are not finite (the first is {first}) "
            "and cannot be adjusted: give finite numbers"
        )


def _refuse_other_than_a_distribution(test_prior_c: Tensor) -> None:
    negative = (test_prior_c < 0).nonzero().flatten().tolist()
    if negative:
        raise DataError(
            f"{_classes(negative)}: the test prior is negative "
            f"({float(test_prior_c[negative[0]]):g}): give probabilities from 0 to 1"
        )
    total = float(test_prior_c.to(torch.float64).sum())
    if abs(total - 1) > SUM_TOLERANCE:
        raise DataError(f"the test prior sums to {total:g}, not 1: divide it by its sum")


def _classes(indices: Sequence[int], shown: int = 5) -> str:
    """`class 3`, `classes 3, 7` or `classes 1, 2, 3, 4, 5 and 20 more`."""
    names = ", ".join(map(str, indices[:shown]))
    more = f" and {len(indices) - shown} more" if len(indices) > shown else ""
    return f"{'class' if len(indices) == 1 else 'classes'} {names}{more}"
