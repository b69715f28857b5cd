"""GPU fractions: the arithmetic, on its own and on recorded memory of real training steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from balpoe.config import (
    Choice,
    Configuration,
    ExpertsConfig,
    MixupConfig,
    ResourcesConfig,
    StudySpec,
    TrainingConfig,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields
from balpoe.study.execution.gpu_memory import (
    CONTEXT_BYTES,
    MARGIN,
    GpuMemory,
    MemoryShape,
    gpu_part,
    memory_bound,
    memory_limit,
)
from balpoe.training.memory import DeviceMemory

MakeSpec = Callable[..., StudySpec]
Parameters = dict[str, Choice]
GIB = 2**30
TOTAL = 16 * GIB
RECORDED = json.loads(Path(__file__).with_name("recorded_memory.json").read_text())["figures"]

SMALL: Parameters = {"experts.count": 1, "experts.spread": 0.0, "experts.sharing": "shared"}
THREE: Parameters = SMALL | {"experts.count": 3}
THREE_OTHERS: Parameters = THREE | {"experts.spread": 2.0}
INDEPENDENT: Parameters = THREE | {"experts.sharing": "independent"}


def configuration(
    *,
    experts: int = 3,
    sharing: Any = "shared",
    batch_size: int = 128,
    accumulate: int = 1,
    **training: Any,
) -> Configuration:
    return Configuration(
        data=DigitsLT(),
        experts=ExpertsConfig(count=experts, sharing=sharing),
        mixup=MixupConfig(alpha=0.4),
        training=TrainingConfig(batch_size=batch_size, accumulate=accumulate, **training),
    )


def taken(reserved: int, total: int = TOTAL) -> dict[str, Any]:
    return {"device": "a GPU", "total": total, "reserved": reserved}


@pytest.fixture
def spec(make_spec: MakeSpec) -> StudySpec:
    resources = ResourcesConfig(gpus_per_trial=1, share_gpus=True)
    return replace(make_spec(), resources=resources)


@given(st.integers(1, 200 * GIB), st.integers(4 * GIB, 200 * GIB))
def test_as_many_processes_as_their_parts_allow_fit_on_the_device(
    reserved: int, total: int
) -> None:
    part = gpu_part(reserved, total)
    # Ray counts in ten-thousandths and rounds
    assert part == round(part, 4)
    assert 0 < part <= 1
    if part < 1:
        processes = math.floor(round(1 / part, 6))
        limit = memory_limit(part, total) * total
        assert limit >= MARGIN * reserved
        assert processes * (limit + CONTEXT_BYTES) <= total * (1 + 1e-9)
        assert processes * part <= 1


@given(st.integers(1, 200 * GIB), st.integers(1, 200 * GIB))
def test_who_needs_more_never_gets_less(one: int, other: int) -> None:
    parts = [gpu_part(reserved, TOTAL) for reserved in sorted((one, other))]
    assert parts == sorted(parts)


def test_parts_of_a_gpu_by_hand() -> None:
    # 1.1 GiB and 1 GiB of context: seven times 2.1 GiB is 14.7 of 16
    assert gpu_part(1 * GIB, TOTAL) == 0.1428
    # 3.2 GiB: five times
    assert gpu_part(2 * GIB, TOTAL) == 0.2
    # 7.6 GiB: twice; a little more than 8: once
    assert gpu_part(6 * GIB, TOTAL) == 0.5
    assert gpu_part(6.4 * GIB, TOTAL) == 1.0
    assert gpu_part(math.inf, TOTAL) == 1.0
    assert memory_limit(0.5, TOTAL) == 7 / 16
    assert memory_limit(1.0, TOTAL) == 1.0


SIZES = st.tuples(st.integers(1, 9), st.integers(1, 512), st.integers(1, 512))


@given(st.tuples(*[st.integers(0, 2**33)] * 5), SIZES, SIZES)
def test_a_figure_bounds_every_other_of_its_kind(
    coefficients: tuple[int, ...], measured: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    def memory(experts: int, images: int, batch: int) -> int:
        terms = (1, experts, images, experts * images, batch)
        return sum(c * term for c, term in zip(coefficients, terms, strict=True))

    assume(memory(*measured) > 0)
    figures = {MemoryShape("a kind", *measured): DeviceMemory("a GPU", TOTAL, memory(*measured))}
    bound = memory_bound(MemoryShape("a kind", *other), figures)
    assert bound >= memory(*other) * (1 - 1e-9)


def test_another_kind_bounds_nothing() -> None:
    known = MemoryShape.of(configuration(sharing="shared"))
    other = MemoryShape.of(configuration(sharing="linear"))
    assert memory_bound(other, {known: DeviceMemory("a GPU", TOTAL, GIB)}) == math.inf


def test_the_smallest_bound_counts_and_what_was_measured_counts_alone() -> None:
    figures = {
        MemoryShape("a kind", 1, 64, 64): DeviceMemory("a GPU", TOTAL, 1 * GIB),
        MemoryShape("a kind", 4, 64, 64): DeviceMemory("a GPU", TOTAL, 2 * GIB),
    }
    assert memory_bound(MemoryShape("a kind", 3, 64, 64), figures) == 2 * GIB
    assert memory_bound(MemoryShape("a kind", 1, 96, 96), figures) == 1.5 * GIB
    assert memory_bound(MemoryShape("a kind", 4, 64, 64), figures) == 2 * GIB


def test_what_does_not_decide_memory_is_no_part_of_a_shape() -> None:
    shape = MemoryShape.of(configuration())
    assert shape == MemoryShape.of(configuration(epochs=7, learning_rate=0.5, warmup=0.0))
    assert shape.images == 128
    in_parts = MemoryShape.of(configuration(accumulate=3))
    assert (in_parts.images, in_parts.batch) == (43, 128)
    assert shape.kind == MemoryShape.of(configuration(experts=7, batch_size=32)).kind
    without_mixup = replace(configuration(), mixup=MixupConfig(alpha=0.0))
    for different in (configuration(precision="bfloat16"), without_mixup):
        assert MemoryShape.of(different).kind != shape.kind


@pytest.mark.parametrize("sharing", ["shared", "independent", "linear"])
def test_recorded_steps_of_real_trainings_stay_below_their_bounds(sharing: str) -> None:
    """Live tensors on the CPU, recorded by `tests/benchmarks/step_memory.py`; no GPU was lent."""
    recorded = {
        MemoryShape.of(
            configuration(
                experts=entry["experts"],
                sharing=entry["sharing"],
                batch_size=entry["batch_size"],
                accumulate=entry["accumulate"],
            )
        ): DeviceMemory("a CPU", TOTAL, entry["bytes"])
        for entry in RECORDED
        if entry["sharing"] == sharing
    }
    assert len(recorded) >= 12
    for shape, memory in recorded.items():
        for known in recorded:
            bound = memory_bound(shape, {known: recorded[known]})
            assert bound >= memory.reserved, (known, shape)


def test_seven_independent_experts_ask_for_more_than_three_linear_ones() -> None:
    def part(experts: int, sharing: str) -> float:
        (figure,) = (
            entry["bytes"]
            for entry in RECORDED
            if (entry["experts"], entry["sharing"]) == (experts, sharing)
            and (entry["batch_size"], entry["accumulate"]) == (128, 1)
        )
        # as if the images had a hundred times the pixels: the digits are small
        return gpu_part(100 * figure, TOTAL)

    assert part(7, "independent") > part(3, "linear")


def test_without_a_figure_a_trial_has_a_whole_gpu(spec: StudySpec, tmp_path: Path) -> None:
    memory = GpuMemory(spec, tmp_path / "memory.json")
    assert memory.gpus(SMALL, exclusive=False) == 1.0


def test_a_trial_shares_once_its_shape_is_measured_unless_it_runs_alone(
    spec: StudySpec, tmp_path: Path
) -> None:
    memory = GpuMemory(spec, tmp_path / "memory.json")
    memory.record(THREE, taken(1 * GIB))
    assert memory.gpus(THREE_OTHERS, exclusive=False) == 0.1428
    assert memory.gpus(SMALL, exclusive=False) == 0.1428  # no more than three experts need
    assert memory.gpus(THREE, exclusive=True) == 1.0
    assert memory.gpus(INDEPENDENT, exclusive=False) == 1.0  # another kind


def test_the_largest_figure_of_a_shape_counts_also_after_a_restart(
    spec: StudySpec, tmp_path: Path
) -> None:
    memory = GpuMemory(spec, tmp_path / "memory.json")
    for reserved in (1 * GIB, 2 * GIB, 1 * GIB):
        memory.record(THREE, taken(reserved))
    for reopened in (memory, GpuMemory(spec, tmp_path / "memory.json")):
        assert reopened.gpus(THREE, exclusive=False) == 0.2


def test_the_smallest_device_decides(spec: StudySpec, tmp_path: Path) -> None:
    memory = GpuMemory(spec, tmp_path / "memory.json")
    memory.record(THREE, taken(1 * GIB, total=64 * GIB))
    memory.record(SMALL, taken(1 * GIB, total=TOTAL))
    assert memory.gpus(THREE, exclusive=False) == 0.1428


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2}', '{"format": 1, "figures": [1]}'])
def test_a_damaged_file_is_as_none(spec: StudySpec, tmp_path: Path, content: str) -> None:
    (tmp_path / "memory.json").write_text(content)
    assert GpuMemory(spec, tmp_path / "memory.json").gpus(THREE, exclusive=False) == 1.0


def test_a_study_that_does_not_share_asks_for_what_it_says(
    make_spec: MakeSpec, tmp_path: Path
) -> None:
    memory = GpuMemory(make_spec(), tmp_path / "memory.json")
    assert memory.gpus(THREE, exclusive=False) == 0.0


def test_only_a_whole_gpu_can_be_shared() -> None:
    with pytest.raises(InvalidFields, match="share_gpus: needs gpus_per_trial: 1, got"):
        ResourcesConfig(gpus_per_trial=0.5, share_gpus=True)
