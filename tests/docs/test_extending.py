"""The worked examples of docs/extending.md, installed as a package beside balpoe and used."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text()
PYTHON, YAML, TOML = (
    re.findall(rf"```{kind}\n# (\S+)\n(.*?)```", PAGE, re.DOTALL)
    for kind in ("python", "yaml", "toml")
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the package of the examples and its entry points."""
    site = tmp_path_factory.mktemp("site")
    (site / "my_entries").mkdir()
    (site / "my_entries" / "__init__.py").touch()
    for name, text in PYTHON:
        (site / name).write_text(text)
    [(_, groups)] = TOML
    metadata = site / "my_entries-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my_entries\nVersion: 1.0\n")
    heading = re.compile(r'\[project\.entry-points\."(.*)"\]')
    (metadata / "entry_points.txt").write_text(heading.sub(r"[\1]", groups).replace('"', ""))
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the study and its images: three classes that their brightness tells."""
    folder = tmp_path_factory.mktemp("study")
    [(name, study)] = YAML
    (folder / name).write_text(study)
    generator = np.random.default_rng(0)
    arrays: dict[str, NDArray[Any]] = {}
    for split, counts in {"train": (60, 40, 30), "test": (20, 20, 20)}.items():
        labels_n = np.repeat(np.arange(3), counts)
        levels_nhwd = generator.normal(60 + 60 * labels_n, 10, (8, 8, 1, len(labels_n)))
        arrays[f"{split}_images"] = np.moveaxis(levels_nhwd, 3, 0).clip(0, 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels_n
    np.savez(folder / "images.npz", **arrays)  # type: ignore[arg-type]  # numpy's stubs
    return folder


def run(site: Path, folder: Path, *command: str) -> str:
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    ended = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_a_study_uses_every_example(site: Path, folder: Path) -> None:
    balpoe = str(Path(sys.executable).with_name("balpoe"))
    run(site, folder, balpoe, "run", "study.yaml", "--runs", "runs")
    run(site, folder, balpoe, "export", "extended", "--runs", "runs")
    [best] = (folder / "runs" / "extended" / "exports").glob("rank_1_*.yaml")
    run(site, folder, balpoe, "train", str(best), "--seeds", "1", "--out", "models")
    [metrics] = (folder / "models").rglob("metrics.json")
    found = json.loads(metrics.read_text())
    assert "brier" in json.dumps(found)


def test_no_example_imports_torch_before_a_training(site: Path, folder: Path) -> None:
    code = (
        "import sys; from balpoe.files import load_study; spec = load_study('study.yaml');"
        "print(sorted({'torch', 'ray', 'optuna', 'mlflow'} & set(sys.modules)), spec.base.loss)"
    )
    loaded = run(site, folder, "-c", code)
    assert loaded.strip() == "[] Poly1(name='poly_1', epsilon=2.0)"


def test_the_package_of_the_examples_is_that_of_what_uses_them(site: Path, folder: Path) -> None:
    texts = (
        "data: {name: digits_lt}",
        "data: {name: npz, path: x}",
        "data: {name: digits_lt}\nloss: {name: poly_1}",
        "data: {name: digits_lt}\nmixing: {name: sometimes_mixup}",
        "data: {name: digits_lt}\nmodel: {classifier: linear}\nsecond_stage: {name: biases}",
        "data: {name: digits_lt}\nmodel: {backbone: patches}",
        "data: {name: digits_lt}\ntraining: {augmentation: {policies: [{name: blackout}]}}",
    )
    (folder / "texts.json").write_text(json.dumps(texts))
    code = (
        "import json; from pathlib import Path\n"
        "from balpoe.config.entry_packages import entry_packages\n"
        "from balpoe.files import load_configuration\n"
        "for text in json.loads(Path('texts.json').read_text()):\n"
        "    Path('one.yaml').write_text(text)\n"
        "    print(dict(entry_packages(load_configuration('one.yaml'))))"
    )
    built_in, *others = run(site, folder, "-c", code).splitlines()
    assert built_in == "{}"
    assert others == ["{'my_entries': '1.0'}"] * 6


def test_a_setting_of_an_example_is_checked_with_its_line(site: Path, folder: Path) -> None:
    (folder / "wrong.yaml").write_text(
        "data: {name: digits_lt}\nloss: {name: poly_1, epsilon: -1}\n"
    )
    code = (
        "from balpoe.files import load_configuration\n"
        "try: load_configuration('wrong.yaml')\n"
        "except Exception as error: print(error)"
    )
    assert run(site, folder, "-c", code).strip() == (
        "wrong.yaml:2 loss.epsilon: must be at least 0, got -1.0"
    )


def test_the_loss_is_a_series_in_the_probability_of_other_classes(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace: dict[str, object] = {"__name__": "poly_1_example"}
    [source] = (text for name, text in PYTHON if name.endswith("poly_1.py"))
    monkeypatch.setitem(sys.modules, "poly_1_example", type(sys)("poly_1_example"))
    exec(source.replace("@LOSSES.add\n", ""), namespace)
    criterion = namespace["Poly1Criterion"]
    p_b = torch.tensor([0.9, 0.6, 0.3], dtype=torch.float64)
    logits_bc = torch.stack([p_b, 1 - p_b], dim=1).log()
    labels_b = torch.zeros(3, dtype=torch.int64)
    # the cross-entropy is the series of (1 − p)^j/j
    series_b = sum((1 - p_b) ** j / j for j in range(2, 400))
    for epsilon in (0.0, 2.0):
        losses_b = criterion(epsilon).per_image(0, logits_bc, labels_b)  # type: ignore[operator]
        torch.testing.assert_close(losses_b, (1 + epsilon) * (1 - p_b) + series_b)


def test_the_page_has_an_example_for_every_kind_and_every_table_is_on_it() -> None:
    from balpoe.config import entry_tables
    from balpoe.config.metrics import metric_table

    metric_table()
    groups = {table.group for table in entry_tables._TABLES.values()} | {"balpoe.metrics"}
    [(_, toml)] = TOML
    assert set(re.findall(r'entry-points\."(.*)"', toml)) == groups
    assert len(PYTHON) == len(groups)
