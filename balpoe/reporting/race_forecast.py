"""A forecast of the trials that will be trained with further seeds."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.front import pareto_front
from balpoe.study.selection.race import FIRST_SEEDS, race, references
from balpoe.study.trials.record import TrialRecord


class RaceForecast:
    """Forecasts the race of a study, with a cache that is cleared when a trial has ended.

    The race is replayed from its beginning: too slow for a display that refreshes several times
    a second.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._ended: tuple[TrialRecord, ...] = ()
        self._known: dict[bool, tuple[int, ...]] = {}

    def racing_trials(self, records: Sequence[TrialRecord], *, searching: bool) -> tuple[int, ...]:
        """The numbers of the trials that get further seeds.

        Args:
            records: All trials and repeats; RUNNING ones are left out of the forecast.
            searching: Whether further trials will start; then these are the trials on the front
                and the known points, otherwise the trials in the race.
        """
        ended = tuple(record for record in records if record.state != "RUNNING")
        if ended != self._ended:
            self._ended, self._known = ended, {}
        if searching not in self._known:
            self._known[searching] = self._front(ended) if searching else self._racing(ended)
        return self._known[searching]

    def seed_limit(self, *, searching: bool) -> int:
        """The number of seeds that each of these trials has in the end, at most."""
        return min(FIRST_SEEDS, self._spec.repeats) if searching else self._spec.repeats

    def _front(self, ended: Sequence[TrialRecord]) -> tuple[int, ...]:
        searched = [record for record in ended if record.identity.repeat == 0]
        front = pareto_front(searched, self._spec.objectives)
        known_points = references(self._spec, candidates(searched))
        numbers = {trial.identity.number for trial in front}
        return tuple(sorted(numbers | {candidate.number for candidate in known_points}))

    def _racing(self, ended: Sequence[TrialRecord]) -> tuple[int, ...]:
        return race(self._spec, candidates(ended)).racing
