"""Known points: named configurations that a study tries first and compares its results with.

A known point sets fields of the configuration; the other fields have the base values. If it sets
only searched fields, to values that the sampler can propose, it is an ordinary trial. Otherwise
it lies outside the search space: it is run, but not reported to the sampler, which could only
mistake it for another point.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from balpoe.config.assignment import Search, assigned
from balpoe.config.configuration import Configuration
from balpoe.config.fields import Choice, searchable_fields
from balpoe.config.loss import idle_biases
from balpoe.config.mixing import idle_mixer
from balpoe.config.parameters import canonical_parameters, field_value, with_parameters
from balpoe.config.published_points import DEFAULTS, Assignment
from balpoe.config.sampler import SamplerConfig
from balpoe.errors import InvalidFields, dotted

LAMBDAS: Final = frozenset({"experts.spread", "experts.centre"})
"""The searchable fields that give biases λ."""
_BIASES: Final = {"experts.count", *LAMBDAS}


@dataclass(frozen=True, slots=True)
class KnownPoint:
    """A known point that a study can try.

    `parameters` holds the fields that the point sets and the searched fields, as recorded.
    `decided` are the parameters that a sampler would suggest; `outside` lists the parameters
    that the sampler could not suggest with these values.
    """

    name: str
    parameters: Assignment
    decided: Assignment
    outside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KnownPoints:
    """The points that a study tries, and by name the reasons why others are left out."""

    points: tuple[KnownPoint, ...]
    left_out: Mapping[str, str]


def default_points() -> dict[str, dict[str, Choice]]:
    """Return a copy of the default points."""
    return {name: dict(assignment) for name, assignment in DEFAULTS.items()}


def known_points(
    given: Mapping[str, Assignment],
    search: Search,
    base: Configuration,
    sampler: SamplerConfig,
) -> KnownPoints:
    """Sort the given points into those that a study can try and those that it cannot."""
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
    """Yield why a study cannot try a point: the path at fault, if there is one, and a message."""
    try:
        configuration = with_parameters(base, assignment)
    except InvalidFields as error:
        for problem in error.problems:
            path = problem.field if problem.field in assignment else None
            yield path, problem.message if path else f"{dotted(problem.path)} {problem.message}"
        return
    yield from _idle_fields(assignment, configuration)
    if sampler.needs_every_parameter:
        for path in _placed("", assignment, search, base).outside:
            message = f"lies outside the search space, where {sampler.name} cannot go: use tpe"
            yield path if path in assignment else None, f"{path} {message}"


def _idle_fields(assignment: Assignment, configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Yield the fields of a point that change nothing in its configuration, and why."""
    idle = idle_mixer(configuration.mixing, configuration.mixup.alpha)
    if idle is not None and "mixing.name" in assignment:
        yield "mixing.name", idle
    if assignment.get("mixup.alpha") and not configuration.mixing.mixes:
        yield "mixup.alpha", f"changes nothing: {configuration.mixing.name} mixes nothing"
    loss = configuration.loss
    if not loss.uses_lambdas:
        for path in sorted(LAMBDAS & assignment.keys()):
            yield path, idle_biases([loss.name])
    given = configuration.experts.listed_biases
    if given is not None:
        for path in sorted(_BIASES & assignment.keys()):
            yield path, f"changes nothing: experts.{given} says it all"


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
