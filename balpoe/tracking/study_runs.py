"""The runs of one study in MLflow, by what they stand for: found, and each kept once.

A server that was frozen when a request came carries it out later, when nobody waits for the
answer any more. What was created again in the meantime is there twice then: the twin that
holds less is deleted. It goes to MLflow's bin, from which it could be restored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from balpoe.tracking.run_lookup import runs_tagged

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Key = tuple[int, int]
"""The number and the repeat of a trial."""


class StudyRuns:
    """What an experiment holds of a study; the trials' runs are listed once, until `forget`.

    All methods raise MlflowException where the store refuses, or cannot be reached.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, study: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._study = study
        self._trials: dict[Key, Run] | None = None

    def parent(self, *, kept: str | None = None) -> Run | None:
        """The run that stands for the study itself; of several the one whose id is `kept`."""
        runs = runs_tagged(self._client, self._experiment_id, self.tags("study"))
        return self._without_twins(runs, kept) if runs else None

    def trials(self, *, kept: Callable[[Key], str | None]) -> Mapping[Key, Run]:
        """The runs of its trials; of several that stand for one, the one whose id is `kept`."""
        if self._trials is None:
            found: defaultdict[Key, list[Run]] = defaultdict(list)
            for run in runs_tagged(self._client, self._experiment_id, self.tags("trial")):
                found[int(run.data.tags["number"]), int(run.data.tags["repeat"])].append(run)
            self._trials = {
                key: self._without_twins(runs, kept(key)) for key, runs in found.items()
            }
        return self._trials

    def forget(self) -> None:
        """List the runs of the trials anew when they are asked for again."""
        self._trials = None

    def tags(self, role: str) -> dict[str, str]:
        """The tags by which all of its runs in a role are found: "study", "trial"."""
        return {"role": role, "study": self._study}

    def _without_twins(self, runs: Sequence[Run], kept: str | None) -> Run:
        """Of runs that stand for the same thing, the one to be kept; the others are deleted."""
        chosen = max(runs, key=lambda run: (run.info.run_id == kept, _fields(run)))
        for run in runs:
            if run is not chosen:
                self._client.delete_run(run.info.run_id)
        return chosen


def _fields(run: Run) -> int:
    return len(run.data.metrics) + len(run.data.params) + len(run.data.tags)
