"""Early stopping of trials by asynchronous successive halving."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from balpoe.config.bounds import Bounded, Bounds, Count
from balpoe.config.configuration import TrainingConfig
from balpoe.config.metrics import class_of, validation_metrics
from balpoe.errors import FieldProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class HalvingConfig(Bounded):
    """Successive halving: of every `reduction` trials that reach a rung, the best continues.

    The first rung is `grace_epochs`; each further rung has `reduction` times as many epochs:
    3, 9, 27 … for ``{grace_epochs: 3, reduction: 3}``. Trials do not wait for one another.
    """

    name: Literal["halving"] = "halving"
    grace_epochs: Count
    reduction: Annotated[int, Bounds(at_least=2, at_most=100)] = 3

    def rungs(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs before the last one at which trials of `epochs` are compared."""
        rungs = []
        rung = self.grace_epochs
        while rung < epochs:
            rungs.append(rung)
            rung *= self.reduction
        return tuple(rungs)

    def misfits(
        self, training: TrainingConfig, searched: Collection[str], objectives: Collection[str]
    ) -> Iterator[FieldProblem]:
        """Explain why trials of a study could not be compared at the rungs.

        Args:
            training: The training section that the trials have in common.
            searched: The paths of the fields in which the trials differ.
            objectives: The metrics by which the trials are compared.
        """
        for path in ("training.epochs", "training.evaluate_every"):
            if path in searched:
                yield FieldProblem(
                    "early_stopping", f"needs one {path} for all trials: it is searched"
                )
        if self.grace_epochs >= training.epochs:
            message = f"must be below training.epochs ({training.epochs}), got {self.grace_epochs}"
            yield FieldProblem("early_stopping", message, ("grace_epochs",))
        if self.grace_epochs % training.evaluate_every:
            every = training.evaluate_every
            message = f"must be a multiple of training.evaluate_every ({every}): trials are "
            message += f"evaluated at no other epochs, got {self.grace_epochs}"
            yield FieldProblem("early_stopping", message, ("grace_epochs",))
        for name in objectives:
            if name not in validation_metrics() and class_of(name) is None:
                yield FieldProblem(
                    "early_stopping", f"cannot go by {name}, which only the last epoch has"
                )
