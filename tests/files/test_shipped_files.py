"""Every study and recipe that we ship is itself a test, and its resolved text is on record."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from balpoe.config import Configuration, ParquetImages, StudySpec, with_parameters
from balpoe.files import dump_configuration, dump_study, load_configuration, load_study

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
SHIPPED = ROOT / "studies"
STUDIES = sorted(SHIPPED.glob("*.yaml"))
RECIPES = sorted(SHIPPED.glob("recipes/*.yaml"))
ACCEPT = "BALPOE_ACCEPT_GOLDEN"


def load(path: Path) -> Configuration | StudySpec:
    return load_study(path) if path in STUDIES else load_configuration(path)


def resolved(path: Path) -> str:
    loaded = load(path)
    return dump_study(loaded) if isinstance(loaded, StudySpec) else dump_configuration(loaded)


def test_the_shipped_files_are_found() -> None:
    assert [path.stem for path in STUDIES] == [
        "cifar100_lt",
        "cifar10_lt",
        "digits_lt",
        "gaussian_lt",
    ]
    assert [path.stem for path in RECIPES] == [
        "cifar100_lt",
        "cifar100_lt_long",
        "cifar10_lt",
        "cifar10_lt_long",
    ]
    on_record = {path.relative_to(GOLDEN) for path in GOLDEN.rglob("*.yaml")}
    assert on_record == {path.relative_to(SHIPPED) for path in STUDIES + RECIPES}


@pytest.mark.parametrize("path", STUDIES + RECIPES, ids=lambda path: path.stem)
def test_a_shipped_file_resolves_to_the_text_on_record(path: Path) -> None:
    golden, text = GOLDEN / path.relative_to(SHIPPED), resolved(path)
    if os.environ.get(ACCEPT) == "1":
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text, (
        f"{path.name} or a default has changed; if that is meant, record it with "
        f"{ACCEPT}=1 uv run pytest {Path(__file__).relative_to(ROOT)} and commit the difference"
    )


@pytest.mark.parametrize("path", STUDIES + RECIPES, ids=lambda path: path.stem)
def test_the_text_on_record_loads_to_the_same_object(path: Path) -> None:
    load_golden = load_study if path in STUDIES else load_configuration
    assert load_golden(GOLDEN / path.relative_to(SHIPPED)) == load(path)


@pytest.mark.parametrize("path", STUDIES + RECIPES, ids=lambda path: path.stem)
def test_a_shipped_file_says_what_it_answers_costs_and_leads_to(path: Path) -> None:
    header = "".join(
        line for line in path.read_text(encoding="utf-8").splitlines(True) if line[0] == "#"
    )
    for heading in ("# Question: ", "# Cost: ", "# Expect", "# Data: "):
        assert heading in header


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_tries_all_of_its_known_points_first(path: Path) -> None:
    study = load_study(path)
    assert [point.name for point in study.points.points] == ["ce", "balanced_softmax", "balpoe"]
    assert study.points.left_out == {}
    outside = {point.name: point.outside for point in study.points.points}
    assert outside == {"ce": ("experts.centre",), "balanced_softmax": (), "balpoe": ()}


@pytest.mark.parametrize("name", ["cifar10_lt", "cifar100_lt"])
def test_a_shipped_study_begins_with_the_recipe_of_the_paper(name: str) -> None:
    study = load_study(SHIPPED / f"{name}.yaml")
    recipe = load_configuration(SHIPPED / "recipes" / f"{name}.yaml")
    *_, balpoe = study.points.points
    tried = study.final.applied_to(with_parameters(study.base, balpoe.parameters))
    training = replace(tried.training, evaluate_every=1)
    assert replace(tried, training=training) == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_the_published_one(path: Path) -> None:
    recipe, long = load_configuration(path), path.stem.endswith("_long")
    data, training = recipe.data, recipe.training
    assert isinstance(data, ParquetImages)
    assert data.imbalance_ratio == 100
    assert data.mean == (0.4914, 0.4822, 0.4465)
    assert data.std == (0.2023, 0.1994, 0.2010)
    assert (recipe.model.backbone, recipe.model.classifier) == ("resnet32", "cosine")
    assert recipe.model.cosine_scale == 30
    assert (recipe.experts.count, recipe.experts.spread, recipe.experts.centre) == (3, 1, 0)
    assert recipe.experts.sharing == "shared"
    assert recipe.mixup.alpha == (0.8 if path.stem.startswith("cifar10_") else 0.4)
    assert training.epochs == (400 if long else 200)
    assert [training.epochs * milestone for milestone in training.milestones] == (
        [320, 360] if long else [160, 180]
    )
    assert training.epochs * training.warmup == (10 if long else 5)
    assert (training.batch_size, training.learning_rate, training.decay) == (128, 0.1, 0.1)
    assert (training.momentum, training.nesterov, training.weight_decay) == (0.9, True, 5e-4)
    augmentation = training.augmentation
    assert (augmentation.crop_padding, augmentation.flip) == (4, True)
    assert augmentation.rotation_degrees == (0 if long else 15)


PUBLISHED = ROOT.parent / "shared" / "reference" / "published_results.csv"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published figures are not on this machine")
@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_quotes_published_figures_from_the_table_it_names(path: Path) -> None:
    dataset = "CIFAR-10-LT" if path.stem.startswith("cifar10_") else "CIFAR-100-LT"
    schedule = "long" if path.stem.endswith("_long") else "standard"
    header = path.read_text(encoding="utf-8").split("# Expect")[1].split("# Data")[0]
    tables = {f"BalPoE CVPR 2023, Table {number}" for number in re.findall(r"Table (\d+)", header)}
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        published = {
            f"{row['value']} ± {row['std']}"
            for row in csv.DictReader(file)
            if row["source"] in tables
            and row["method"] in ("BalPoE", "BalPoE (ERM)")
            and (row["dataset"], row["train_imbalance"]) == (dataset, "100")
            and (row["schedule"], row["test_distribution"]) == (schedule, "uniform")
        }
    quoted = re.findall(r"\d+\.\d ± \d\.\d", header)
    assert quoted
    assert set(quoted) <= published
