"""The costs of decisions: what it costs to predict one class for an image of another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from balpoe.config.bounds import Bounded, NonNegative, NotEmpty
from balpoe.config.wording import did_you_mean, shown
from balpoe.errors import FieldProblem

MOST_CLASSES: Final = 200
"""The numbers are kept in study files, which are read as a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CostMatrix(Bounded):
    """Costs by class: `rows[i][j]` is that of predicting `classes[j]` for an image of `classes[i]`.

    A study file or configuration file may name a CSV file instead, which is read once: its numbers
    belong to the configuration.
    """

    classes: Annotated[tuple[str, ...], NotEmpty("class")]
    rows: tuple[tuple[NonNegative, ...], ...]

    def further_problems(self) -> Iterator[FieldProblem]:
        """Require distinct classes, not too many, and a row of as many numbers for each."""
        count = len(self.classes)
        if count > MOST_CLASSES:
            yield FieldProblem("classes", f"must be at most {MOST_CLASSES}, got {count}")
            return
        for index, name in enumerate(self.classes):
            if name in self.classes[:index]:
                yield FieldProblem("classes", f"{shown(name)} comes twice", (index,))
        if len(self.rows) != count:
            yield FieldProblem("rows", f"must be {count}, one per class, got {len(self.rows)}")
        for index, row in enumerate(self.rows):
            if len(row) != count:
                message = f"must be {count} numbers, one per class, got {len(row)}"
                yield FieldProblem("rows", message, (index,))

    def mismatches(self, class_names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield every class that the costs or the data lack, with a message."""
        known, own = set(class_names), set(self.classes)
        for name in self.classes:
            if name not in known:
                hint = did_you_mean(name, class_names)
                yield name, f"{shown(name)} is no class of the data{hint}"
        for name in class_names:
            if name not in own:
                yield name, f"the class {shown(name)} has no costs: add its row and its column"

    def in_order(self, class_names: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Return the costs in the order of `class_names`, which are the classes of the matrix."""
        place = {name: index for index, name in enumerate(self.classes)}
        order = [place[name] for name in class_names]
        return tuple(tuple(self.rows[i][j] for j in order) for i in order)
