"""The commands on data above `data.in_memory_limit`, compared with data in memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import balpoe
from balpoe.launch.check import check
from balpoe.launch.evaluate import SeedEvaluation

WriteImages = Callable[..., Path]
SECTIONS = """
model: {backbone: resnet8}
training: {epochs: 1, batch_size: 32}
"""


def data_section(train: Path, test: Path, limit: float) -> str:
    return f"data: {{name: parquet, train: {train}, test: {test}, in_memory_limit: {limit}}}"


def evaluated(file: Path) -> SeedEvaluation:
    store = f"sqlite:///{file.with_suffix('.db')}"
    trained = balpoe.train(file, (1,), out=file.with_suffix(""), tracking_uri=store)
    (seed,) = balpoe.evaluate(trained.path)
    return seed


def test_final_training_and_evaluation_are_those_in_memory(
    write_grey_images: WriteImages, tmp_path: Path
) -> None:
    train, test = write_grey_images("train", (40, 20, 10)), write_grey_images("test", (60,) * 3)
    seeds = []
    for name, limit in (("in_memory", 1.0), ("streamed", 0.000001)):
        file = tmp_path / f"{name}.yaml"
        file.write_text(data_section(train, test, limit) + SECTIONS)
        seeds.append(evaluated(file))
    in_memory, streamed = ([row.scalars() for row in seed.rows] for seed in seeds)
    assert in_memory == streamed


def test_a_study_of_streamed_data_is_checked_and_its_cost_probed(
    write_grey_images: WriteImages, tmp_path: Path
) -> None:
    train, test = write_grey_images("train", (90, 60, 30)), write_grey_images("test", (5,) * 3)
    file = tmp_path / "streamed.yaml"
    file.write_text(
        "name: streamed\n"
        + data_section(train, test, 0.000001)
        + SECTIONS
        + "search: {experts.spread: {type: float, low: 0, high: 2}}\n"
        "objectives: {val/accuracy: maximize}\n"
        "budget: {trials: 3}\n"
    )
    report = check(file, runs=tmp_path)
    assert report.problems == ()
    assert report.cost is not None
    assert report.cost.largest.seconds > 0
