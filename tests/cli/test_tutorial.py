"""The README's tutorial on own images: its commands on a small generated folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

README = Path(__file__).parents[2] / "README.md"
CLASSES = {"sparrow": 40, "robin": 24, "heron": 16, "ñandú": 10, "кеа": 6}
SHORTER = {"epochs: 30": "epochs: 2", "trials: 12": "trials: 3"}


def blocks(language: str) -> list[str]:
    """Return the code blocks of the tutorial in a language."""
    section = README.read_text().split("\n## Your own images\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)


def draw_birds(root: Path) -> None:
    """Images of many sizes and formats, and other files."""
    generator = np.random.default_rng(0)
    for y, (name, count) in enumerate(CLASSES.items()):
        (root / name).mkdir(parents=True)
        for n in range(count):
            height, width = generator.integers(34, 60, size=2)
            pixels = generator.integers(0, 80, size=(height, width, 3))
            pixels[..., y % 3] += 40 * (1 + y // 3)
            suffix = ("png", "jpg", "webp")[n % 3]
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{n}.{suffix}")
    (root / "robin" / "5.jpg").write_bytes(b"no image")
    (root / "heron" / "notes.txt").write_text("seen at noon")


def balpoe(command: str, directory: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-c", command.replace("uv run ", "")],
        cwd=directory,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.mark.slow
def test_a_folder_goes_all_the_way_with_the_commands_of_the_readme(tmp_path: Path) -> None:
    draw_birds(tmp_path / "birds")
    (study,) = blocks("yaml")
    for long, short in SHORTER.items():
        assert long in study
        study = study.replace(long, short)
    (tmp_path / "birds.yaml").write_text(study)
    outputs = {
        command: balpoe(command, tmp_path)
        for block in blocks("sh")
        for command in block.strip().splitlines()
    }
    shown = {command.split("balpoe ")[1]: output for command, output in outputs.items()}
    inspected = shown["data inspect birds"]
    assert "5 classes" in inspected
    assert all(name in inspected for name in CLASSES)
    assert "birds/robin/5.jpg" in inspected
    assert "Pareto front of birds: 3 trials" in shown["run birds.yaml"]
    predictions = pq.read_table(tmp_path / "predictions.parquet").to_pydict()
    assert len(predictions["path"]) == CLASSES["heron"]
    assert set(predictions["predicted"]) <= set(CLASSES)
    assert sum(predictions["probabilities"][0]) == pytest.approx(1.0, abs=1e-5)
    assert (tmp_path / "runs/models").is_dir()
    assert sorted(path.name for path in (tmp_path / "data/birds").glob("*.parquet"))
