"""MLflow as a mirror of studies, which can be rebuilt from their records at any time.

Importing this package does not import mlflow, which takes seconds.
"""

from balpoe.tracking.logged_figures import (
    log_study_figures,
    log_trial_figures,
    trials_with_figures,
)
from balpoe.tracking.mirror_writer import MirrorReport, MirrorWriter, start_mirror
from balpoe.tracking.mirrored_study import MirroredStudy, mirrored_study
from balpoe.tracking.rebuild import rebuild
from balpoe.tracking.run_data import Origin, Outcome, StudyFileCommit
from balpoe.tracking.study_description import study_description
from balpoe.tracking.tracking_store import TrackingStore, local_store, store_at

__all__ = [
    "MirrorReport",
    "MirrorWriter",
    "MirroredStudy",
    "Origin",
    "Outcome",
    "StudyFileCommit",
    "TrackingStore",
    "local_store",
    "log_study_figures",
    "log_trial_figures",
    "mirrored_study",
    "rebuild",
    "start_mirror",
    "store_at",
    "study_description",
    "trials_with_figures",
]
