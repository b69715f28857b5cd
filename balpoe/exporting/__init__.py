"""The best configurations of a study as files, with the evidence for them."""

from balpoe.exporting.environment import Environment, current_environment
from balpoe.exporting.export import Export, ExportReport, export_best

__all__ = ["Environment", "Export", "ExportReport", "current_environment", "export_best"]
