"""MLflow rebuilt, or completed, from the records of a study."""

from __future__ import annotations

from collections.abc import Sequence

from balpoe.config import StudySpec
from balpoe.errors import StorageError
from balpoe.study.trials.record import TrialRecord
from balpoe.tracking.run import Origin, Outcome
from balpoe.tracking.tracking_store import TrackingStore


def rebuild(
    store: TrackingStore,
    spec: StudySpec,
    records: Sequence[TrialRecord],
    *,
    origin: Origin,
    outcome: Outcome,
    description: str,
) -> None:
    """Write what `store` lacks of the study; what it holds already is left as it is.

    Args:
        store: Where to write.
        spec: The study.
        records: All its trials, repeats included.
        origin: Stated on runs that are created now.
        outcome: How the study stands.
        description: Markdown for the study's run.

    Raises:
        StorageError: the store refuses, or cannot be reached.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    from balpoe.tracking.mirror import Mirror

    try:
        mirror = Mirror(store, spec, origin, description)
        for record in records:
            mirror.mirror(record)
        mirror.finish(outcome, description)
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise StorageError(
            f"{store.tracking_uri}: cannot be written: {error}; start it or check its address and "
            f"permissions, then repeat: what is there already is not written twice"
        ) from error
