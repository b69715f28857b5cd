"""The specification of one study: a base configuration, what is searched and how far."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from balpoe.config.bounds import Bounded, Count, NonNegative, NotEmpty, Rule, Seed
from balpoe.config.configuration import Configuration
from balpoe.config.metrics import OBJECTIVES
from balpoe.config.parameters import with_parameters
from balpoe.config.search_space import Parameter, misfits
from balpoe.config.wording import must_be, unknown
from balpoe.errors import FieldProblem, InvalidFields, dotted

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class StudyName(Rule):
    """A name that is safe as a directory, on a command line and in a URL."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", value):
            return None
        return must_be("1 to 100 letters, digits, '-' and '_' that begin with no sign", value)


@dataclass(frozen=True, slots=True)
class ObjectiveName(Rule):
    """A metric of the validation split; the test set is for the final evaluation alone."""

    def problem(self, value: Any) -> str | None:
        """What is wrong with `value`, or None."""
        if value in OBJECTIVES:
            return None
        if value.startswith("test/"):
            return "must be a val/ metric: a search never sees the test set"
        return unknown("metric", value, OBJECTIVES)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig(Bounded):
    """Where a study ends: after this many finished trials."""

    trials: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesConfig(Bounded):
    """What one trial gets, and how many trials run at a time."""

    cpus_per_trial: Count = 1
    gpus_per_trial: NonNegative = 0.0
    concurrent_trials: Count = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec(Bounded):
    """One study: `search` replaces fields of `base`, named by their dotted path."""

    name: Annotated[str, StudyName()]
    question: str = ""
    base: Configuration
    search: Annotated[dict[str, Parameter], NotEmpty("field to search")]
    objectives: Annotated[
        dict[Annotated[str, ObjectiveName()], Direction], NotEmpty("metric with its direction")
    ]
    budget: BudgetConfig
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Seed = 0
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)

    def further_problems(self) -> Iterator[FieldProblem]:
        """Parameters that do not fit their field, that change nothing, or that break the base."""
        misfitting = [
            problem
            for path, parameter in self.search.items()
            for problem in misfits(path, parameter)
        ]
        if misfitting:
            yield from misfitting
        else:
            yield from self._idle_parameters()
            yield from self._impossible_values()

    def _idle_parameters(self) -> Iterator[FieldProblem]:
        experts = self.base.experts
        if experts.lambdas is not None:
            idle, reason = ("spread", "centre"), "experts.lambdas says it all"
        elif experts.count == 1 and "experts.count" not in self.search:
            idle, reason = ("spread", "sharing"), "there is one expert"
        else:
            return
        for path in (f"experts.{name}" for name in idle):
            if path in self.search:
                yield FieldProblem("search", f"changes nothing: {reason}", (path,))

    def _impossible_values(self) -> Iterator[FieldProblem]:
        """Values that each fit their field, but not what the base says beside it."""
        for path, parameter in self.search.items():
            for within, value in parameter.extremes.items():
                try:
                    with_parameters(self.base, {path: value})
                except InvalidFields as error:
                    reasons = (f"{dotted(item.path)} {item.message}" for item in error.problems)
                    message = f"with {value}, {', '.join(reasons)}"
                    yield FieldProblem("search", message, (path, *within))
