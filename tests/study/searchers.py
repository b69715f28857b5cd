"""A searcher with its collaborators, without Tune."""

from __future__ import annotations

from balpoe.config import StudySpec
from balpoe.study.execution.gpu_memory import GpuMemory
from balpoe.study.execution.interruption import Interruption
from balpoe.study.execution.searcher import StudySearcher
from balpoe.study.execution.steering import Steering
from balpoe.study.execution.trial_queue import TrialQueue
from balpoe.study.execution.trial_recorder import TrialRecorder
from balpoe.study.records.study_trials import StudyTrials
from balpoe.study.search.spent_budget import Account, SpentBudget
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.events import Listener


def searcher_of(spec: StudySpec, directory: StudyDirectory, listener: Listener) -> StudySearcher:
    """The searcher of a launch in `directory`, without early stopping."""
    trials, interruption = StudyTrials(spec, directory), Interruption()
    account = Account(SpentBudget(0, 0.0, 0.0), spec.resources)
    recorder = TrialRecorder(spec, trials, listener, interruption, None)
    queue = TrialQueue(spec, trials, recorder, account)
    memory = GpuMemory(spec, directory.memory)
    steering = Steering(spec, directory, trials, recorder, account, 0)
    return StudySearcher(queue, recorder, listener, interruption, account, memory, steering)
