"""MLflow as a mirror of studies: rebuilt from the records at any time, never the truth.

`balpoe.tracking.mirror` imports mlflow (seconds); `start_mirror` leaves that to its thread.
"""

from balpoe.tracking.mirror_check import FoundRun, FoundStudy, found_study
from balpoe.tracking.rebuild import rebuild
from balpoe.tracking.run import Origin, Outcome
from balpoe.tracking.study_description import study_description
from balpoe.tracking.tracking_store import TrackingStore, local_store, store_at
from balpoe.tracking.writer import MirrorReport, MirrorWriter, start_mirror

__all__ = [
    "FoundRun",
    "FoundStudy",
    "MirrorReport",
    "MirrorWriter",
    "Origin",
    "Outcome",
    "TrackingStore",
    "found_study",
    "local_store",
    "rebuild",
    "start_mirror",
    "store_at",
    "study_description",
]
