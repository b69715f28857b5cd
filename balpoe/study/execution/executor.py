"""One launch of a study: its trials run on Ray until the budget is spent."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass

from balpoe.config import StudySpec
from balpoe.study.execution.gpu_memory import GpuMemory
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.steering import Steering
from balpoe.study.execution.trial import RunTrial, run_trial
from balpoe.study.execution.trial_queue import TrialQueue
from balpoe.study.execution.trial_recorder import TrialRecorder
from balpoe.study.execution.tune_run import run_tune
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.earlier_trials import EarlierStudy
from balpoe.study.search.pruning import early_stopping_of
from balpoe.study.search.spent_budget import Account, is_over
from balpoe.study.storage.storage_interface import ConfirmLease, unconfirmed
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import Listener
from balpoe.study.trials.failures import Failure
from balpoe.study.trials.launch_log import log_launch


@dataclass(frozen=True, slots=True)
class LaunchEnd:
    """The reason for which a launch ended.

    `signal` stopped it, or its first trials were `failing_alike`; neither: the budget is spent.
    """

    signal: signal.Signals | None = None
    failing_alike: Failure | None = None


def run_trials(
    spec: StudySpec,
    directory: StudyDirectory,
    listener: Listener,
    *,
    earlier: Sequence[EarlierStudy] = (),
    confirm_lease: ConfirmLease = unconfirmed,
    other_hosts: bool = False,
    study_commit: str | None = None,
    run: RunTrial = run_trial,
) -> LaunchEnd:
    """Run the study's trials until its budget is spent, SIGINT stops it, or all fail alike.

    Unfinished trials of earlier launches are resumed first; a failed trial counts as finished.
    Ray is started on this machine unless the process is connected to a cluster.

    Args:
        spec: The study.
        directory: Its directory.
        listener: It is called with every event, in this thread.
        earlier: Studies from whose trials the sampler learns as from this study's own.
        confirm_lease: It is called before every write to the storage and raises once the lease
            is lost.
        other_hosts: Whether trials may run on other hosts; they use the clock of this one.
        study_commit: The commit of the study file, for the log of launches.
        run: Runs a trial.

    Raises:
        SystemExit: SIGTERM ends the process with status 143 without waiting.
        StorageError: the study's directory or storage cannot be written.
        UserError: no node is large enough for a trial, a node that joins is unfit for trials, or
            the study has other objectives.
    """
    directory.create()
    trials = StudyTrials(spec, directory, confirm_lease)
    before, known = trials.spent(), trials.summaries()
    if is_over(spec, known, before):
        return LaunchEnd()
    number = trials.begin_launch(earlier)
    sign = log_launch(
        directory.launches,
        spec,
        number=number,
        started=trials.launches()[-1],
        warm_start={each.study: each.trials for each in (study.event for study in earlier)},
        study_commit=study_commit,
    )
    for study in earlier:
        listener(study.event)
    searched = [trial for trial in known if trial.identity.repeat == 0]
    early_stopping = early_stopping_of(spec, directory, searched)
    interruption, account = Interruption(), Account(before, spec.resources)
    recorder = TrialRecorder(spec, trials, listener, interruption, early_stopping)
    queue = TrialQueue(spec, trials, recorder, account)
    memory = GpuMemory(spec, directory.memory)
    steering = Steering(spec, directory, trials, recorder, account, number)
    searcher = StudySearcher(queue, recorder, listener, interruption, account, memory, steering)
    run_tune(spec, directory, searcher, interruption, run=run, sign=sign, other_hosts=other_hosts)
    if searcher.fault is not None:
        raise searcher.fault
    steering.finish()
    return LaunchEnd(interruption.signal, recorder.failing_alike)
