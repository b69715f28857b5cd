"""The command `clean`: delete checkpoints and predictions of trials off the front."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from balpoe.exporting.export_files import exported_trials
from balpoe.launch import RUNS
from balpoe.launch.runs import find_study, local_runs
from balpoe.study.records.cleaning import Surplus, remove, surplus
from balpoe.study.records.record_store import summaries
from balpoe.study.storage.storage_record import hold_study
from balpoe.study.trials.launch_log import stopped_trials


@dataclass(frozen=True, slots=True)
class CleanReport:
    """The files that a study does not need, and whether they were `deleted`."""

    items: tuple[Surplus, ...]
    deleted: bool

    @property
    def size_bytes(self) -> int:
        """The size of all items together."""
        return sum(item.size_bytes for item in self.items)


def clean(study: str, *, delete: bool = False, runs: Path | str = RUNS) -> CleanReport:
    """Find the checkpoints and predictions of ended trials off the front; `delete` them if asked.

    Exported trials and trials that a user stopped keep theirs.

    Raises:
        UserError: there is no such study, or it is running.
        CorruptFile: the result of a trial or the log of a launch is damaged.
        StorageError: a file cannot be deleted.
    """
    spec, directory = find_study(study, local_runs(runs))
    with hold_study(directory):
        exported = dict(exported_trials(directory.exports)).values()
        kept = {*exported, *stopped_trials(directory.launches)}
        items = surplus(spec, directory, summaries(spec, directory), kept=kept)
        if delete:
            remove(directory, items)
    return CleanReport(items, delete)
