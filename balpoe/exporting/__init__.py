"""The best configurations of a study as files, with the evidence for them."""

from balpoe.exporting.environment import Environment, current_environment
from balpoe.exporting.export import Export, ExportReport, export_best
from balpoe.exporting.preference import Preference

__all__ = [
    "Environment",
    "Export",
    "ExportReport",
    "Preference",
    "current_environment",
    "export_best",
]
