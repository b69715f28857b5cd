"""MLflow as a mirror of studies: rebuilt from the records at any time, never the truth.

`balpoe.tracking.mirror` imports mlflow (seconds); `start_mirror` leaves that to its thread.
"""

from balpoe.tracking.description import study_description
from balpoe.tracking.run import Origin, Outcome
from balpoe.tracking.store import TrackingStore, local_store
from balpoe.tracking.writer import MirrorReport, MirrorWriter, start_mirror

__all__ = [
    "MirrorReport",
    "MirrorWriter",
    "Origin",
    "Outcome",
    "TrackingStore",
    "local_store",
    "start_mirror",
    "study_description",
]
