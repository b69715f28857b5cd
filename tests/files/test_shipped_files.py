"""Every study and recipe that we ship is itself a test, and its resolved text is on record."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    RandAugmentConfig,
    StudySpec,
    with_parameters,
)
from balpoe.data.sources.parquet import ParquetImages
from balpoe.files import dump_configuration, dump_study, load_configuration, load_study
from balpoe.training.loss_context import configured_lambdas

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
SHIPPED = ROOT / "studies"
STUDIES = sorted(SHIPPED.glob("*.yaml"))
RECIPES = sorted(SHIPPED.glob("recipes/*.yaml"))
CIFAR_RECIPES = [path for path in RECIPES if path.stem.startswith("cifar")]
LARGE_RECIPES = [path for path in RECIPES if path not in CIFAR_RECIPES]
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
        "digits_lt_methods",
        "gaussian_lt",
    ]
    assert [path.stem for path in RECIPES] == [
        "cifar100_lt",
        "cifar100_lt_long",
        "cifar10_lt",
        "cifar10_lt_long",
        "imagenet_lt_resnet50",
        "imagenet_lt_resnet50_long",
        "imagenet_lt_resnext50",
        "imagenet_lt_resnext50_long",
        "inaturalist2018_resnet50",
        "inaturalist2018_resnet50_long",
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


@pytest.mark.parametrize(
    "path",
    [*RECIPES, SHIPPED / "cifar10_lt.yaml", SHIPPED / "cifar100_lt.yaml"],
    ids=lambda path: path.stem,
)
def test_files_for_published_figures_are_in_float32_or_name_the_difference(path: Path) -> None:
    loaded = load(path)
    base = loaded.base if isinstance(loaded, StudySpec) else loaded
    differs = re.search(r"^# Differs: .*\n(#   .*\n)*", path.read_text("utf-8"), re.MULTILINE)
    assert base.training.precision == "float32" or (differs and "bfloat16" in differs[0])


@pytest.mark.parametrize("path", LARGE_RECIPES, ids=lambda path: path.stem)
def test_recipes_train_on_the_published_training_split_alone(path: Path) -> None:
    data = load_configuration(path).data
    assert isinstance(data, ParquetImages)
    assert data.validation is None or not data.final_uses_validation
    assert (data.validation is None) is path.stem.startswith("inaturalist")


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_shipped_study_tries_all_of_its_known_points_first(path: Path) -> None:
    study = load_study(path)
    assert [point.name for point in study.points.points] == ["ce", "balanced_softmax", "balpoe"]
    assert study.points.left_out == {}
    outside = {point.name: set(point.outside) for point in study.points.points}
    of_three = set() if "experts.count" in study.search else {"experts.count", "mixup.alpha"}
    assert outside == {
        "ce": {"experts.centre", *of_three},
        "balanced_softmax": of_three,
        "balpoe": set(),
    }


@pytest.mark.parametrize("name", ["cifar10_lt", "cifar100_lt"])
def test_a_shipped_study_begins_with_the_recipe_of_the_paper(name: str) -> None:
    study = load_study(SHIPPED / f"{name}.yaml")
    recipe = load_configuration(SHIPPED / "recipes" / f"{name}.yaml")
    *_, balpoe = study.points.points
    tried = study.final.applied_to(with_parameters(study.base, balpoe.parameters))
    training = replace(tried.training, evaluate_every=1)
    assert replace(tried, training=training) == recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_keeps_what_all_published_ones_share(path: Path) -> None:
    recipe = load_configuration(path)
    assert (recipe.model.classifier, recipe.model.cosine_scale) == ("cosine", 30)
    assert recipe.model.pretrained is None
    assert (recipe.experts.count, recipe.experts.sharing) == (3, "shared")
    assert recipe.experts.owned_stages == 2
    assert (recipe.training.momentum, recipe.training.nesterov) == (0.9, True)
    assert recipe.training.augmentation.flip


@pytest.mark.parametrize("path", CIFAR_RECIPES, ids=lambda path: path.stem)
def test_a_recipe_for_cifar_is_the_published_one(path: Path) -> None:
    recipe, long = load_configuration(path), path.stem.endswith("_long")
    data, training = recipe.data, recipe.training
    assert isinstance(data, ParquetImages)
    assert data.imbalance_ratio == 100
    assert data.mean == (0.4914, 0.4822, 0.4465)
    assert data.std == (0.2023, 0.1994, 0.2010)
    assert recipe.model.backbone == "resnet32"
    assert configured_lambdas(recipe) == (1, 0, -1)
    assert recipe.mixup.alpha == (0.8 if path.stem.startswith("cifar10_") else 0.4)
    assert training.epochs == (400 if long else 200)
    assert [training.epochs * milestone for milestone in training.milestones] == (
        [320, 360] if long else [160, 180]
    )
    assert training.epochs * training.warmup == (10 if long else 5)
    assert (training.batch_size, training.learning_rate, training.decay) == (128, 0.1, 0.1)
    assert training.weight_decay == 5e-4
    standard = AugmentationConfig(crop_padding=4, flip=True, rotation_degrees=15)
    with_policy = AugmentationConfig(crop_padding=4, flip=True, auto_augment=True)
    assert training.augmentation == (with_policy if long else standard)


@pytest.mark.parametrize("path", LARGE_RECIPES, ids=lambda path: path.stem)
def test_a_recipe_for_large_images_is_the_published_one(path: Path) -> None:
    recipe, long = load_configuration(path), path.stem.endswith("_long")
    data, training, imagenet = recipe.data, recipe.training, path.stem.startswith("imagenet")
    assert isinstance(data, ParquetImages)
    assert (data.imbalance_ratio, data.image_size) == (None, 256)
    assert (data.validation is None) == (not imagenet)
    resnext = path.stem.startswith("imagenet_lt_resnext50")
    assert recipe.model.backbone == ("imagenet_resnext50_32x4d" if resnext else "imagenet_resnet50")
    assert configured_lambdas(recipe) == ((1, -0.25, -1.5) if imagenet else (2, 0, -2))
    assert recipe.mixup.alpha == (0.3 if imagenet else 0.2)
    assert training.epochs == (400 if long else 180 if imagenet else 100)
    assert training.batch_size == (64 if imagenet else 512)
    assert training.learning_rate == (0.025 if imagenet else 0.2)
    assert training.weight_decay == (5e-4 if imagenet else 2e-4)
    assert (training.schedule, training.warmup) == ("cosine", 0)
    assert data.mean == ((0.485, 0.456, 0.406) if imagenet else (0.466, 0.471, 0.380))
    assert data.std == ((0.229, 0.224, 0.225) if imagenet else (0.195, 0.194, 0.192))
    policy = RandAugmentConfig(operations=2, magnitude=10, magnitude_sd=0.5, probability=0.5)
    assert training.augmentation == AugmentationConfig(
        resized_crop=224,
        flip=True,
        colour_jitter=0.4 if imagenet or long else 0,
        rand_augment=policy if long else RandAugmentConfig(),
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_flags_lambdas_that_are_not_balanced(path: Path) -> None:
    balanced = sum(configured_lambdas(load_configuration(path))) == 0
    assert ("# Unbalanced: " in path.read_text(encoding="utf-8")) == (not balanced)


PUBLISHED = ROOT.parent / "shared" / "reference" / "published_results.csv"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published figures are not on this machine")
@pytest.mark.parametrize("path", LARGE_RECIPES, ids=lambda path: path.stem)
def test_a_recipe_for_large_images_quotes_the_published_accuracy(path: Path) -> None:
    header = path.read_text(encoding="utf-8")
    (quoted,) = re.findall(r"# Expect \(CVPR Table 1, .*\): accuracy (\d+\.\d)\.", header)
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        (published,) = {
            row["value"]
            for row in csv.DictReader(file)
            if row["source"] == "BalPoE CVPR 2023, Table 1"
            and row["method"] == "BalPoE"
            and row["dataset"].startswith("ImageNet" if "imagenet" in path.stem else "iNaturalist")
            and row["backbone"] == ("ResNeXt-50" if "resnext50" in path.stem else "ResNet-50")
            and row["schedule"] == ("long" if path.stem.endswith("_long") else "standard")
        }
    assert quoted == published


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published figures are not on this machine")
@pytest.mark.parametrize("path", CIFAR_RECIPES, ids=lambda path: path.stem)
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
