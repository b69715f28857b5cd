"""What people see: progress and results, from data to the screen."""

from balpoe.reporting.evaluation_table import detail_table, evaluation_table
from balpoe.reporting.front_table import front_report
from balpoe.reporting.study_display import StudyDisplay
from balpoe.reporting.training_display import TrainingDisplay
from balpoe.reporting.training_progress import TrainingProgress, training_progress

__all__ = [
    "StudyDisplay",
    "TrainingDisplay",
    "TrainingProgress",
    "detail_table",
    "evaluation_table",
    "front_report",
    "training_progress",
]
