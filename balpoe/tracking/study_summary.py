"""What a study's run and the runs of its trials have of all trials together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mlflow.entities import Metric, Param, RunTag

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.shared_view import experiment_tags, shown_metrics
from balpoe.tracking.study_contents import DONE, study_metrics, study_parameters
from balpoe.tracking.study_runs import Key
from balpoe.tracking.trial_ranks import Standing, standings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run


class StudySummary:
    """Writes the parameters and metrics of a study's run, and the places of its trials.

    Only what has changed is written. All methods raise `MlflowException` if the store cannot be
    reached or refuses the request; the calls can be repeated.
    """

    def __init__(self, client: MlflowClient, spec: StudySpec, parent: Run) -> None:
        self._client = client
        self._spec = spec
        self._parent_id = str(parent.info.run_id)
        self._written: dict[int, Standing] = {}
        known = parent.data.params.keys()  # a parameter cannot change in MLflow
        parameters = study_parameters(spec)
        missing = [Param(name, parameters[name]) for name in parameters if name not in known]
        if missing:
            client.log_batch(self._parent_id, params=missing)
        self._steps = self._written_steps() if DONE in parent.data.metrics else 0

    def write_view(self, experiment: Experiment) -> None:
        """Write the view of the trials to the experiment."""
        for name, value in experiment_tags(self._spec).items():
            if experiment.tags.get(name) != value:
                self._client.set_experiment_tag(experiment.experiment_id, name, value)

    def update(
        self,
        records: Mapping[Key, TrialRecord],
        runs: Mapping[Key, str],
        stored_tags: Mapping[Key, Mapping[str, str]],
        most: int | None = None,
    ) -> bool:
        """Write the metrics of the study, and the places that have changed, the first ones first.

        Returns whether no changed place is left.

        Args:
            records: All trials and their repeats.
            runs: The run of each of them.
            stored_tags: The tags of the runs that were there before this process.
            most: The most runs of trials to write to.
        """
        metrics = study_metrics(self._spec, list(records.values()), self._steps)
        if metrics:
            self._client.log_batch(self._parent_id, metrics=metrics)
            self._steps = max(metric.step for metric in metrics)
        found = standings(self._spec, list(records.values()), shown_metrics(self._spec))
        changed = [
            (number, standing)
            for number, standing in found.items()
            if (number, 0) in runs and not self._has(number, standing, stored_tags)
        ]
        for number, standing in changed[:most]:
            self._client.log_batch(
                runs[number, 0],
                metrics=[
                    Metric(name, value, standing.time, standing.seeds)
                    for name, value in standing.metrics.items()
                ],
                tags=[RunTag(name, value) for name, value in standing.tags.items()],
            )
            self._written[number] = standing
        return most is None or len(changed) <= most

    def _has(
        self, number: int, standing: Standing, stored_tags: Mapping[Key, Mapping[str, str]]
    ) -> bool:
        written = self._written.get(number)
        if written is not None or standing.metrics:
            return written == standing
        return standing.tags.items() <= stored_tags.get((number, 0), {}).items()

    def _written_steps(self) -> int:
        history = self._client.get_metric_history(self._parent_id, DONE)
        return max((int(metric.step) for metric in history), default=0)
