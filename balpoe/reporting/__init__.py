"""What people see: progress and results, from data to the screen."""

from balpoe.reporting.evaluation_table import detail_table, evaluation_table
from balpoe.reporting.front_table import front_report
from balpoe.reporting.post_hoc_tables import post_hoc_tables
from balpoe.reporting.prediction_display import (
    PredictionDisplay,
    PredictionProgress,
    left_out_lines,
    predicted_classes_table,
)
from balpoe.reporting.study_check import cost_lines, size
from balpoe.reporting.study_display import StudyDisplay
from balpoe.reporting.study_events import event_lines, outcome_line
from balpoe.reporting.study_status import status_plain, status_report
from balpoe.reporting.training_display import TrainingDisplay
from balpoe.reporting.training_progress import TrainingProgress, training_progress

__all__ = [
    "PredictionDisplay",
    "PredictionProgress",
    "StudyDisplay",
    "TrainingDisplay",
    "TrainingProgress",
    "cost_lines",
    "detail_table",
    "evaluation_table",
    "event_lines",
    "front_report",
    "left_out_lines",
    "outcome_line",
    "post_hoc_tables",
    "predicted_classes_table",
    "size",
    "status_plain",
    "status_report",
    "training_progress",
]
