"""Who will be trained with further seeds, as far as it can be foreseen."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.study.selection.candidates import candidates
from balpoe.study.selection.comparison import FEWEST_SEEDS
from balpoe.study.selection.front import pareto_front
from balpoe.study.selection.race import race
from balpoe.study.trials.record import TrialRecord


class RaceForecast:
    """Foresees the race of the study `spec`, anew only where other trials have ended than before.

    The race is replayed from its beginning, which a display cannot afford several times a second.
    """

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._ended: tuple[TrialRecord, ...] = ()
        self._known: dict[bool, tuple[int, ...]] = {}

    def racing_trials(self, records: Sequence[TrialRecord], *, searching: bool) -> tuple[int, ...]:
        """The trials that get seeds: the front while it is searched for, then those in the race.

        Args:
            records: All trials, repeats included; of those under way nothing is foreseen.
            searching: Whether trials are still to come.
        """
        ended = tuple(record for record in records if record.state != "RUNNING")
        if ended != self._ended:
            self._ended, self._known = ended, {}
        if searching not in self._known:
            self._known[searching] = self._front(ended) if searching else self._racing(ended)
        return self._known[searching]

    def seed_limit(self, *, searching: bool) -> int:
        """How many seeds each of them has at the end, at most."""
        return min(FEWEST_SEEDS, self._spec.repeats) if searching else self._spec.repeats

    def _front(self, ended: Sequence[TrialRecord]) -> tuple[int, ...]:
        searched = [record for record in ended if record.identity.repeat == 0]
        front = pareto_front(searched, self._spec.objectives)
        return tuple(trial.identity.number for trial in front)

    def _racing(self, ended: Sequence[TrialRecord]) -> tuple[int, ...]:
        return race(self._spec, candidates(ended)).racing
