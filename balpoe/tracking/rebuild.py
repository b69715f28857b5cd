"""Rebuild or complete a study in MLflow from its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from balpoe.config import StudySpec
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.run_data import Origin, Outcome
from balpoe.tracking.tracking_store import TrackingStore, storage_errors

_HINT = (
    "start it or check its address and permissions, then repeat: what is there already is not "
    "written twice"
)


def rebuild(
    store: TrackingStore,
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    origin: Origin,
    outcome: Outcome,
    description: str,
    class_counts: Callable[[TrialRecord], Mapping[str, int] | None] = lambda record: None,
) -> None:
    """Write what `store` lacks of a study.

    Args:
        store: The store to complete.
        spec: The study.
        records: All trials, repeats included.
        origin: Stated on the runs that are created now.
        outcome: Sets the status of the study's run.
        description: Markdown for the study's run.
        class_counts: The class counts of a finished trial, for its data set.

    Raises:
        StorageError: the store cannot be reached or written.
    """
    with storage_errors(store, "cannot be written", _HINT):
        from balpoe.tracking.mirror import Mirror

        mirror = Mirror(store, spec, origin, description, class_counts)
        for record in records:
            mirror.mirror(record)
        mirror.finish(outcome, description)
