"""The runs of one study in MLflow, without duplicates.

A server that was suspended when a request arrived executes it later, after the client has timed
out and sent it again. The run is then there twice; the duplicate with fewer entries is deleted.
MLflow can restore a deleted run.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from balpoe.tracking.run_lookup import tagged_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Key = tuple[int, int]
"""The number and the repeat of a trial."""


class StudyRuns:
    """The runs of a study in an experiment.

    The trials' runs are listed once, until `refresh`. All methods raise `MlflowException` if the
    store cannot be reached or refuses the request.
    """

    def __init__(self, client: MlflowClient, experiment_id: str, study: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._study = study
        self._trials: dict[Key, Run] | None = None

    def parent(self, kept: str | None = None) -> Run | None:
        """Return the study's own run; of duplicates, keep the one with the id `kept`."""
        runs = tagged_runs(self._client, self._experiment_id, self.tags("study"))
        return self._without_duplicates(runs, kept) if runs else None

    def trials(self, kept: Mapping[Key, str]) -> Mapping[Key, Run]:
        """Return the run of each trial; of duplicates, keep the one with the id `kept[key]`."""
        if self._trials is None:
            found: defaultdict[Key, list[Run]] = defaultdict(list)
            for run in tagged_runs(self._client, self._experiment_id, self.tags("trial")):
                found[int(run.data.tags["number"]), int(run.data.tags["repeat"])].append(run)
            self._trials = {
                key: self._without_duplicates(runs, kept.get(key)) for key, runs in found.items()
            }
        return self._trials

    def refresh(self) -> None:
        """List the trials' runs again at the next call of `trials`."""
        self._trials = None

    def tags(self, role: str) -> dict[str, str]:
        """The tags of all runs with a role: "study" or "trial"."""
        return {"role": role, "study": self._study}

    def _without_duplicates(self, runs: Sequence[Run], kept: str | None) -> Run:
        """Choose one of several runs of the same thing and delete the others."""
        chosen = max(runs, key=lambda run: (run.info.run_id == kept, _entries(run)))
        for run in runs:
            if run is not chosen:
                self._client.delete_run(run.info.run_id)
        return chosen


def _entries(run: Run) -> int:
    return len(run.data.metrics) + len(run.data.params) + len(run.data.tags)
