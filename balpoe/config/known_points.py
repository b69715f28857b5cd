"""Configurations with a name that a study tries first, and that its gain is measured against.

A known point sets fields of the configuration; all others have the base's values. Where all
that it sets is searched and its values are among those that the sampler may propose, it is an
ordinary trial. Otherwise it lies outside the search space: it is run all the same, and the
sampler never hears of it, for it could only take it for another point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from balpoe.config.assignment import Search, assigned
from balpoe.config.configuration import Configuration
from balpoe.config.fields import Choice, searchable_fields
from balpoe.config.parameters import canonical_parameters, field_value, with_parameters
from balpoe.config.sampler import SamplerConfig
from balpoe.errors import InvalidFields, dotted

Assignment = Mapping[str, Choice]

DEFAULTS: Final[Mapping[str, Assignment]] = {
    "ce": {"experts.count": 1, "experts.centre": 1.0, "mixup.alpha": 0.0},
    "balanced_softmax": {"experts.count": 1, "experts.centre": 0.0, "mixup.alpha": 0.0},
    "balpoe": {
        "experts.count": 3,
        "experts.spread": 1.0,
        "experts.centre": 0.0,
        "experts.sharing": "shared",
        "mixup.alpha": 0.4,
    },
}
"""One expert with λ = 1 and λ = 0; three with λ = 1, 0, −1 and mixup (α of CIFAR-100-LT)."""

_BIASES: Final = {"experts.count", "experts.spread", "experts.centre"}


@dataclass(frozen=True, slots=True)
class KnownPoint:
    """A point by its name.

    `parameters` are all that it sets and all that is searched, as they are recorded, `decided`
    those among them that a sampler would decide, `outside` those that it never could.
    """

    name: str
    parameters: Assignment
    decided: Assignment
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownPoints:
    """The points that a study tries, and why it leaves others out, by their names."""

    points: tuple[KnownPoint, ...]
    left_out: Mapping[str, str]


def default_points() -> dict[str, dict[str, Choice]]:
    """A copy of the defaults."""
    return {name: dict(assignment) for name, assignment in DEFAULTS.items()}


def known_points(
    given: Mapping[str, Assignment],
    search: Search,
    base: Configuration,
    sampler: SamplerConfig,
) -> KnownPoints:
    """The points of a study, and those that it cannot try."""
    points, left_out = [], {}
    for name, assignment in given.items():
        problems = list(point_problems(assignment, search, base, sampler))
        if problems:
            left_out[name] = "; ".join(message for _, message in problems)
        else:
            points.append(_placed(name, assignment, search, base))
    return KnownPoints(tuple(points), left_out)


def point_problems(
    assignment: Assignment, search: Search, base: Configuration, sampler: SamplerConfig
) -> Iterator[tuple[str | None, str]]:
    """Why a study cannot try a point: the path at fault, where it is one, and what is wrong."""
    try:
        with_parameters(base, assignment)
    except InvalidFields as error:
        for problem in error.problems:
            path = problem.field if problem.field in assignment else None
            yield path, problem.message if path else f"{dotted(problem.path)} {problem.message}"
        return
    if base.experts.lambdas is not None:
        for path in sorted(_BIASES & assignment.keys()):
            yield path, "changes nothing: experts.lambdas says it all"
    if sampler.needs_every_parameter:
        for path in _placed("", assignment, search, base).outside:
            message = f"lies outside the search space, where {sampler.name} cannot go: use tpe"
            yield path if path in assignment else None, f"{path} {message}"


def _placed(name: str, assignment: Assignment, search: Search, base: Configuration) -> KnownPoint:
    fields = searchable_fields()
    given = {path: fields[path].holding(value) for path, value in assignment.items()}
    decided: dict[str, Choice] = {}

    def choose(path: str) -> Choice:
        decided[path] = given.get(path, field_value(base, path))
        return decided[path]

    values = assigned(search, base, choose)
    fixed = {
        path: value
        for path, value in given.items()
        if path not in values and value != field_value(base, path)
    }
    canonical = canonical_parameters({**values, **fixed})
    never = [path for path, value in decided.items() if not search[path].admits(value)]
    return KnownPoint(
        name=name,
        parameters={path: canonical[path] for path in (*values, *fixed)},
        decided=decided,
        outside=(*never, *fixed),
    )
