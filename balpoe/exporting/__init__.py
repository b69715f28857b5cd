"""The best configurations of a study as files, with the evidence for them."""

from balpoe.exporting.export import Export, ExportReport, export_best
from balpoe.exporting.preference import Preference

__all__ = [
    "Export",
    "ExportReport",
    "Preference",
    "export_best",
]
