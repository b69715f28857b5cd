"""Combinations of searched values that no configuration can hold.

The extremes of ranges and all choices stand for all values. Their product is tried if it is small;
else every pair of values of two parameters is tried in at least one configuration.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from balpoe.config.assignment import Search, assigned, depends_on, suggestion_order, with_conditions
from balpoe.config.configuration import Configuration
from balpoe.config.fields import Choice
from balpoe.config.parameters import with_parameters
from balpoe.config.search_space import CategoricalParameter
from balpoe.config.wording import shown
from balpoe.errors import FieldProblem, InvalidFields, dotted

Values = Mapping[str, Choice]
_Items = frozenset[tuple[str, Choice]]

_LARGEST_PRODUCT = 300
_MOST_TRIED = 1000


def impossible_combinations(search: Search, base: Configuration) -> Iterator[FieldProblem]:
    """Yield combinations of two or more searched values that are invalid together.

    Each pair of parameters is named once, with the condition that makes it impossible. Values that
    are invalid together with the base alone are no combination.
    """
    named = set()
    for refusal in _Trials(search, base).refusals():
        place, chooser = _places(search, refusal)
        if (place, chooser) in named or len(refusal.values) < 2:
            continue
        named.add((place, chooser))
        others = ", ".join(
            f"{path} {shown(value)}" for path, value in refusal.values.items() if path != place
        )
        message = (
            f"with {shown(refusal.values[place])} and {others}, {refusal.problem}: "
            f"{_cure(search, base, place, chooser, refusal)}"
        )
        yield FieldProblem("search", message, (place,))


@dataclass(frozen=True, slots=True)
class _Refusal:
    """The values that are invalid together, and why; none of them can be left out."""

    values: Values
    place: str
    problem: str


@dataclass(slots=True)
class _Trials:
    """Tries configurations, and remembers the pairs of values that were part of a valid one."""

    search: Search
    base: Configuration
    covered: set[_Items] = field(default_factory=set)
    refused: list[_Items] = field(default_factory=list)

    def refusals(self) -> Iterator[_Refusal]:
        """Yield what is refused; the number of configurations that are tried is bounded."""
        product = math.prod(len(self._values(path)) for path in self.search)
        return self._of_product() if product <= _LARGEST_PRODUCT else self._of_pairs()

    def _of_product(self) -> Iterator[_Refusal]:
        for values in itertools.product(*map(self._values, self.search)):
            chosen = dict(zip(self.search, values, strict=True))
            row = assigned(self.search, self.base, chosen.__getitem__)
            if not self._is_refused(row.items()):
                yield from self._tried(row)

    def _of_pairs(self) -> Iterator[_Refusal]:
        tried = 0
        for one, other in itertools.combinations(self.search, 2):
            for values in itertools.product(self._values(one), self._values(other)):
                pair = dict(zip((one, other), values, strict=True))
                while not self._is_settled(pair) and tried < _MOST_TRIED:
                    row = self._row(pair)
                    if row is None:
                        break
                    tried += 1
                    yield from self._tried(row)

    def _tried(self, row: Values) -> Iterator[_Refusal]:
        refusal = _refusal(self.search, self.base, row)
        if refusal is None:
            self.covered.update(map(frozenset, itertools.combinations(row.items(), 2)))
        else:
            self.refused.append(frozenset(refusal.values.items()))
            yield refusal

    def _is_refused(self, items: Set[tuple[str, Choice]]) -> bool:
        return any(refused <= items for refused in self.refused)

    def _values(self, path: str) -> tuple[Choice, ...]:
        return tuple(dict.fromkeys(self.search[path].extremes.values()))

    def _is_settled(self, pair: Values) -> bool:
        """Whether a pair is covered, or part of it refused."""
        items = frozenset(pair.items())
        return items in self.covered or self._is_refused(items)

    def _row(self, pair: Values) -> dict[str, Choice] | None:
        """Return the parameters of a trial with this pair; None if no trial has it."""
        forced = with_conditions(self.search, pair)
        if forced is None:
            return None
        decided: dict[str, Choice] = {}

        def choose(path: str) -> Choice:
            values = (forced[path],) if path in forced else self._values(path)
            decided[path] = max(values, key=lambda value: self._worth(decided, path, value))
            return decided[path]

        row = assigned(self.search, self.base, choose)
        return row if pair.items() <= row.items() else None

    def _worth(self, decided: Values, path: str, value: Choice) -> tuple[bool, int]:
        """Return whether a value is not refused beside those decided, and its uncovered pairs."""
        items = {*decided.items(), (path, value)}
        pairs = (frozenset((item, (path, value))) for item in decided.items())
        return not self._is_refused(items), sum(pair not in self.covered for pair in pairs)


def _refusal(search: Search, base: Configuration, row: Values) -> _Refusal | None:
    """Return the fewest values of a row for which its first problem remains."""
    found = _problem(base, row)
    if found is None:
        return None
    kept = dict(row)
    for path in reversed(suggestion_order(search)):  # those that others depend on come last
        fewer = {other: value for other, value in kept.items() if other != path}
        remaining = _problem(base, fewer)
        if remaining is not None and remaining.place == found.place:
            kept, found = fewer, remaining
    return _Refusal(kept, found.place, found.problem)


def _problem(base: Configuration, values: Values) -> _Refusal | None:
    try:
        with_parameters(base, values)
    except InvalidFields as error:
        place = dotted(error.problems[0].path)
        return _Refusal(values, place, f"{place} {error.problems[0].message}")
    return None


def _places(search: Search, refusal: _Refusal) -> tuple[str, str | None]:
    """Return the parameter that needs a condition, and the one that the condition is about."""
    categorical = [
        path for path in refusal.values if isinstance(search[path], CategoricalParameter)
    ]
    categorical.sort(key=lambda path: (not path.endswith(".name"), path == refusal.place))
    for chooser in categorical:
        others = [path for path in refusal.values if path != chooser]
        others = [path for path in others if not depends_on(search, chooser, path)]
        if others:
            return min(others, key=lambda path: path != refusal.place), chooser
    return next(iter(refusal.values)), None


def _cure(
    search: Search, base: Configuration, place: str, chooser: str | None, refusal: _Refusal
) -> str:
    if chooser is None:
        return "narrow one of them"
    fitting = [
        shown(choice).strip('"')
        for choice in search[chooser].extremes.values()
        if all(
            _is_possible(search, base, {chooser: choice, place: value}, refusal.values)
            for value in search[place].extremes.values()
        )
    ]
    if not fitting:
        return f"leave {shown(refusal.values[chooser])} out of {chooser}, or narrow {place}"
    return f"add when: {{{chooser}: {{one_of: [{', '.join(fitting)}]}}}}"


def _is_possible(search: Search, base: Configuration, pair: Values, others: Values) -> bool:
    """Whether a pair of values is valid beside those of the `others` that exist with it."""
    values = with_conditions(search, pair)
    if values is None:
        return False
    for path, value in others.items():
        more = with_conditions(search, {**values, path: value})
        if path not in values and more is not None:
            values = more
    return _problem(base, values) is None
