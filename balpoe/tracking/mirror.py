"""One study in MLflow: an experiment, a parent run for the study, a child run per trial.

Runs are looked up by their tags and epochs by the stored metric history before anything is
created, so mirroring can be interrupted and repeated at any point. After a failed request, runs
are looked up again at the end.

Epochs are mirrored before a checkpoint has them. After a kill they are trained again, with the same
values where the training is deterministic. A run that holds another value of an epoch is closed,
and the trial gets a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace

from mlflow.entities import Param, Run, RunTag

from balpoe.config import StudySpec
from balpoe.config.earlier_names import class_weighted_names
from balpoe.files import dump_configuration
from balpoe.study.search.planned_trials import point_name
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking import run_data
from balpoe.tracking.metric_batches import complete_epoch, write_curves, write_epochs
from balpoe.tracking.run_data import Origin, Outcome
from balpoe.tracking.run_lookup import find_or_create_experiment
from balpoe.tracking.study_runs import Key, StudyRuns
from balpoe.tracking.study_summary import StudySummary
from balpoe.tracking.tracking_store import TrackingStore, open_client
from balpoe.tracking.trial_contents import (
    CONFIGURATION,
    dataset_input,
    run_parameters,
    trial_configuration,
)

ClassCounts = Callable[[TrialRecord], Mapping[str, int] | None]
"""Returns the training images of each class of a finished trial; None if unknown."""

_MOST_RANKS = 10
"""Of trials with a new rank, written at once; the others follow."""
_CLASS_WEIGHTED = "class_weighted"
_OF_RUN = (
    "val/accuracy, val/ece, val/mce and val/nll, where logged, are of an earlier version and "
    "weight classes, also those of experts: see val/balanced_*"
)
_OF_STUDY = (
    "val/accuracy, val/ece, val/mce and val/nll weight classes in the runs with this tag, which an "
    "earlier version began, and images in the others: compare val/balanced_*"
)


@dataclass(frozen=True, slots=True)
class _ChildRun:
    """A trial's run as MLflow is known to hold it.

    `markers` holds the value of `EPOCH_MARKER` of every epoch that the run has, and `record` is the
    last one written completely. Of the epoch `unchecked` (0: of none) the run may hold a part only.
    """

    run_id: str
    markers: Mapping[int, float]
    status: str
    record: TrialRecord | None = None
    unchecked: int = 0


class Mirror:
    """Writes trial records of one study to an MLflow store. Not thread-safe."""

    def __init__(
        self,
        store: TrackingStore,
        spec: StudySpec,
        origin: Origin,
        description: str = "",
        class_counts: ClassCounts = lambda record: None,
    ) -> None:
        """Open the store, and find or create the study's experiment and parent run.

        Args:
            store: The store to write to.
            spec: The study; its name is that of the experiment and of the parent run.
            origin: Stated on the parent run and on each new child run.
            description: Markdown for the parent run; by default the study's question.
            class_counts: The class counts of a finished trial, for its data set.

        Raises:
            MlflowException: the store cannot be reached or refuses the request.
        """
        self._client = open_client(store)
        self._spec = spec
        self._origin = origin
        self._experiment_id = find_or_create_experiment(self._client, store, spec.name)
        self._runs = StudyRuns(self._client, self._experiment_id, spec.name)
        self._class_counts = class_counts
        parent = self._find_or_create_parent(description or spec.question)
        self._parent_id = str(parent.info.run_id)
        self._summary = StudySummary(self._client, spec, parent)
        self._summary.write_view(self._client.get_experiment(self._experiment_id))
        self._children: dict[Key, _ChildRun] = {}
        self._has_failed = False
        self._is_tagged = False

    def mirror(self, record: TrialRecord) -> None:
        """Update the run of one trial to its record.

        Raises:
            MlflowException: the store cannot be reached or refuses the request; the call can be
                repeated.
        """
        key = (record.identity.number, record.identity.repeat)
        names = _class_weighted_names(record)
        try:
            if names:
                if not self._is_tagged:
                    self._client.set_tag(self._parent_id, _CLASS_WEIGHTED, _OF_STUDY)
                    self._is_tagged = True
                record = _without_metrics(record, names)
            child = self._children.pop(key, None) or self._find_or_create_child(key, record)
            differing = _differing_epoch(child, record)
            if differing is not None:
                child = self._replace(child, differing, record)
            self._children[key] = self._write(child, record)
        except Exception:
            # The server may have executed a request that failed here.
            self._runs.refresh()
            self._has_failed = True
            raise

    def summarise(self, most: int | None = _MOST_RANKS) -> bool:
        """Update what depends on all trials: the study's metrics, and the ranks of trials.

        At most `most` ranks are written. Returns whether none is left.

        Raises:
            MlflowException: the store cannot be reached or refuses the request; the call can be
                repeated.
        """
        records = {k: child.record for k, child in self._children.items() if child.record}
        runs = {key: child.run_id for key, child in self._children.items()}
        stored = {key: run.data.tags for key, run in self._stored_trials().items()}
        return self._summary.update(records, runs, stored, most)

    def finish(self, outcome: Outcome, description: str | None = None) -> None:
        """End the parent run, and mark the runs of unfinished trials as killed.

        Raises:
            MlflowException: the store cannot be reached or refuses the request; the call can be
                repeated.
        """
        self._delete_duplicates()
        self.summarise(most=None)
        for child in self._children.values():
            if child.record is not None and child.record.state == "RUNNING":
                self._client.set_terminated(child.run_id, status="KILLED")
        if description is not None:
            self._client.set_tag(self._parent_id, run_data.NOTE, description)
        self._client.set_terminated(self._parent_id, status=run_data.STUDY_STATUS[outcome])

    def _find_or_create_parent(self, description: str) -> Run:
        run = self._runs.parent()
        if run is None:
            tags = self._runs.tags("study") | self._origin.tags
            run = self._client.create_run(self._experiment_id, tags=tags, run_name=self._spec.name)
        else:
            self._client.update_run(run.info.run_id, status="RUNNING")
        for name, value in self._origin.study_tags().items():
            self._client.set_tag(run.info.run_id, name, value)
        self._client.set_tag(run.info.run_id, run_data.NOTE, description)
        return run

    def _delete_duplicates(self) -> None:
        self._runs.parent(self._parent_id)
        if self._has_failed:  # listing the runs of all trials is slow
            self._runs.refresh()
            self._stored_trials()

    def _find_or_create_child(self, key: Key, record: TrialRecord) -> _ChildRun:
        run = self._stored_trials().get(key)
        if run is None:
            return self._create_child(record)
        run_id, status = str(run.info.run_id), str(run.info.status)
        if self._holds(run, record):
            return _ChildRun(run_id, _markers(record), status, record)
        history = self._client.get_metric_history(run_id, run_data.EPOCH_MARKER)
        markers = {metric.step: metric.value for metric in history}
        child = _ChildRun(run_id, markers, status, unchecked=max(markers, default=0))
        if markers and _differing_epoch(child, record) is None:
            self._write_lacking_names(run, record, child.unchecked)
        return child

    def _create_child(self, record: TrialRecord) -> _ChildRun:
        origin = self._origin.tags | self._origin.study_tags(record.started)
        parent = {run_data.PARENT_RUN: self._parent_id}
        run = self._client.create_run(
            self._experiment_id,
            start_time=run_data.milliseconds(record.started),
            tags=run_data.trial_tags(record.identity) | origin | parent,
            run_name=run_data.run_name(record),
        )
        return _ChildRun(str(run.info.run_id), {}, str(run.info.status))

    def _replace(self, child: _ChildRun, epoch: int, record: TrialRecord) -> _ChildRun:
        """Close a run that holds another value of `epoch` than the record; return a new run."""
        # The role last: without it, an interrupted call is repeated as a whole.
        self._client.set_terminated(child.run_id, status="KILLED")
        for name, value in run_data.replaced_tags(epoch).items():
            self._client.set_tag(child.run_id, name, value)
        self._runs.refresh()
        return self._create_child(record)

    def _write_lacking_names(self, run: Run, record: TrialRecord, epoch: int) -> None:
        """Write the metrics up to `epoch` that a run of an earlier version has by other names."""
        names = _lacking_names(run, record, epoch)
        if names:
            written = [result for result in record.history if result.epoch <= epoch]
            write_curves(self._client, str(run.info.run_id), written, names)

    def _stored_trials(self) -> Mapping[Key, Run]:
        return self._runs.trials({key: child.run_id for key, child in self._children.items()})

    def _write(self, child: _ChildRun, record: TrialRecord) -> _ChildRun:
        newest = max(child.markers, default=0)
        fresh = [result for result in record.history if result.epoch > newest]
        unchecked = child.unchecked
        for result in record.history:
            if result.epoch == unchecked:
                complete_epoch(self._client, child.run_id, result)
                unchecked = 0
        # Before the state, so that an interruption leaves no state without its epochs.
        write_epochs(self._client, child.run_id, fresh)
        status = child.status
        if child.record is None or not _has_state(child.record, record):
            status = self._write_state(child, record)
        markers = child.markers if not fresh else {**child.markers, **_markers(record)}
        return _ChildRun(child.run_id, markers, status, record, unchecked)

    def _tags(self, record: TrialRecord) -> dict[str, str]:
        point = point_name(self._spec, record.parameters) or ""
        tags = run_data.state_tags(record) | {"known_point": point}
        # Only for studies with constraints, so that runs of others that lack it stay as they are.
        if self._spec.constraints:
            tags["violations"] = ", ".join(record.violations)
        if _class_weighted_names(record):
            tags[_CLASS_WEIGHTED] = _OF_RUN
        return tags

    def _write_state(self, child: _ChildRun, record: TrialRecord) -> str:
        """Write parameters and state; return the status of the run."""
        self._client.log_batch(
            child.run_id,
            params=self._missing_params(child, record),
            tags=[RunTag(name, value) for name, value in self._tags(record).items()],
        )
        status = run_data.TRIAL_STATUS[record.state]
        if record.ended is not None:
            end = run_data.milliseconds(record.ended)
            self._write_data_and_configuration(child, record)
            self._client.set_terminated(child.run_id, status, end_time=end)
        elif child.status != status:
            self._client.update_run(child.run_id, status=status)
        return status

    def _missing_params(self, child: _ChildRun, record: TrialRecord) -> list[Param]:
        """Return the parameters that the run lacks: a parameter cannot change in MLflow."""
        if child.record is not None:
            known = run_parameters(self._spec, child.record)
        else:
            run = self._stored_trials().get((record.identity.number, record.identity.repeat))
            known = run.data.params if run is not None and run.info.run_id == child.run_id else {}
        values = run_parameters(self._spec, record)
        return [Param(name, values[name]) for name in values if name not in known]

    def _write_data_and_configuration(self, child: _ChildRun, record: TrialRecord) -> None:
        if record.data_fingerprint is not None:
            counts = self._class_counts(record)
            data = dataset_input(self._spec, record.data_fingerprint, counts)
            self._client.log_inputs(child.run_id, datasets=[data])
        configuration = trial_configuration(self._spec, record)
        if configuration is not None:
            text = dump_configuration(configuration)
            self._client.log_text(child.run_id, text, CONFIGURATION)

    def _holds(self, run: Run, record: TrialRecord) -> bool:
        """Whether `run` holds all of `record`; the status is written last."""
        is_written = run.info.status == run_data.TRIAL_STATUS[record.state]
        is_ended = record.state != "RUNNING" and is_written
        has_tags = self._tags(record).items() <= run.data.tags.items()
        has_parameters = record.parameters.keys() <= run.data.params.keys()
        last = record.history[-1].epoch if record.history else 0
        has_all = has_tags and has_parameters and not _lacking_names(run, record, last)
        return is_ended and has_all


def _has_state(written: TrialRecord, record: TrialRecord) -> bool:
    """Return whether two records of a repeat differ neither in state nor in parameters.

    A driver that is killed while a trial is sampled leaves the trial with a part of its parameters.
    """
    same_tags = run_data.state_tags(written) == run_data.state_tags(record)
    return same_tags and written.parameters == record.parameters


def _markers(record: TrialRecord) -> dict[int, float]:
    """Return the value of `EPOCH_MARKER` of every epoch that has one."""
    marker = run_data.EPOCH_MARKER
    return {
        result.epoch: result.metrics[marker]
        for result in record.history
        if marker in result.metrics
    }


def _differing_epoch(child: _ChildRun, record: TrialRecord) -> int | None:
    """Return the first epoch of which the run holds another value than the record, if any."""
    return next(
        (
            epoch
            for epoch, value in _markers(record).items()
            if child.markers.get(epoch, value) != value
        ),
        None,
    )


def _lacking_names(run: Run, record: TrialRecord, epoch: int) -> set[str]:
    """Return the keys of the metrics that `record` has up to `epoch` and `run` lacks altogether."""
    names = {name for result in record.history if result.epoch <= epoch for name in result.metrics}
    return set(map(run_data.metric_key, names)) - run.data.metrics.keys()


def _class_weighted_names(record: TrialRecord) -> set[str]:
    """Return the names under which an earlier version logged class-weighted metrics of a trial."""
    return set[str]().union(*(class_weighted_names(result.metrics) for result in record.history))


def _without_metrics(record: TrialRecord, names: Container[str]) -> TrialRecord:
    """Return the record without the metrics `names`, so that no curve changes its meaning."""
    history = tuple(
        replace(
            result,
            metrics={name: value for name, value in result.metrics.items() if name not in names},
        )
        for result in record.history
    )
    return replace(record, history=history)
