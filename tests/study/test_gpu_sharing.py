"""Real Ray with GPUs that exist by name only: small trials share one, a large one has its own."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
import ray
from ray import cloudpickle

from balpoe.config import IntParameter, ResourcesConfig, StudySpec
from balpoe.study.execution.executor import run_trials
from balpoe.study.execution.gpu_memory import GpuMemory
from balpoe.study.execution.trial import Course, TrialTask
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.training.epoch import EpochResult

# workers cannot import a test module
cloudpickle.register_pickle_by_value(  # type: ignore[no-untyped-call]  # Ray's own type
    sys.modules[__name__]
)

MakeSpec = Callable[..., StudySpec]
GIB = 2**30
GPUS, TRIALS = 2, 12
PARTS = {1: 0.1428, 2: 0.2, 3: 1.0}
SECONDS, PATIENCE = 0.5, 30.0

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Stay:
    """Of a trial on its GPU."""

    experts: int
    gpu: int
    begin: float
    end: float

    def meets(self, other: Stay) -> bool:
        return self.gpu == other.gpu and self.begin < other.end and other.begin < self.end


def stays(task: TrialTask) -> Course:
    (gpu,) = ray.get_gpu_ids()
    begin, experts = time.time(), task.parameters["experts.count"]
    task.directory.create()
    time.sleep(SECONDS)
    if experts != 3:
        _meet_another(task, int(gpu))
    yield EpochResult(1, time.time(), {"val/accuracy": 0.5, "val/ece": 0.1})
    stay = {
        "experts": experts,
        "gpu": int(gpu),
        "begin": begin,
        "end": time.time(),
    }
    (task.directory.path / "stay.json").write_text(json.dumps(stay))
    return {"val/accuracy": 0.5, "val/ece": 0.1}


def _meet_another(task: TrialTask, gpu: int) -> None:
    """Wait for a second small trial on the GPU, unless two have met there already."""
    (task.directory.path / f"small_on_{gpu}").touch()
    trials = task.directory.path.parents[1]
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and len(list(trials.glob(f"*/*/small_on_{gpu}"))) < 2:
        time.sleep(0.1)


@pytest.fixture(scope="module")
def gpus() -> Iterator[None]:
    ray.init(
        address="local",
        num_cpus=8,
        num_gpus=GPUS,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def study(
    gpus: None, make_spec: MakeSpec, tmp_path_factory: pytest.TempPathFactory
) -> tuple[StudySpec, list[Stay]]:
    directory = StudyDirectory.of(tmp_path_factory.mktemp("runs"), "digits")
    resources = ResourcesConfig(gpus_per_trial=1, share_gpus=True, concurrent_trials=6)
    search = {"experts.count": IntParameter(low=1, high=3)}
    spec = replace(make_spec(trials=TRIALS, search=search), resources=resources)
    directory.create()
    memory = GpuMemory(spec, directory.memory)
    for experts, reserved in ((1, 1), (3, 12)):
        figure = {"device": "none", "total": 16 * GIB, "reserved": reserved * GIB}
        memory.record({"experts.count": experts}, figure)
    for experts, part in PARTS.items():
        assert memory.gpus({"experts.count": experts}, exclusive=False) == part
    run_trials(spec, directory, lambda event: None, run=stays)
    ledger = Ledger(spec, directory)
    assert [entry.state for entry in ledger.records()] == ["COMPLETE"] * TRIALS
    found = directory.path.glob("trials/*/repeat_0/stay.json")
    return spec, [Stay(**json.loads(path.read_text())) for path in found]


def test_trials_of_every_size_run(study: tuple[StudySpec, list[Stay]]) -> None:
    assert len(study[1]) == TRIALS
    assert {stay.experts for stay in study[1]} == set(PARTS)


def test_small_trials_share_a_gpu(study: tuple[StudySpec, list[Stay]]) -> None:
    small = [stay for stay in study[1] if stay.experts < 3]
    assert any(one.meets(other) for one, other in itertools.combinations(small, 2))


def test_a_large_trial_has_its_gpu_for_itself(study: tuple[StudySpec, list[Stay]]) -> None:
    for large in (stay for stay in study[1] if stay.experts == 3):
        assert [stay for stay in study[1] if stay.meets(large)] == [large]


def test_no_gpu_is_ever_given_out_more_than_once(study: tuple[StudySpec, list[Stay]]) -> None:
    for stay in study[1]:
        beside = [o for o in study[1] if o.gpu == stay.gpu and o.begin <= stay.begin < o.end]
        assert sum(PARTS[other.experts] for other in beside) <= 1
