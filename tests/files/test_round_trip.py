from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.config import (
    SAMPLERS,
    AugmentationConfig,
    BudgetConfig,
    CategoricalParameter,
    Condition,
    Configuration,
    ExpertsConfig,
    FinalConfig,
    FloatParameter,
    IntParameter,
    MixupConfig,
    ModelConfig,
    ResourcesConfig,
    StudySpec,
    TrainingConfig,
    objective_names,
    to_plain,
)
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.parquet import ParquetImages
from balpoe.files import (
    configuration_from_plain,
    dump_configuration,
    dump_study,
    load_configuration,
    load_study,
)

COUNTS = st.integers(1, 10**9)
POSITIVE = st.floats(1e-300, 1e300)
REAL = st.floats(-1e300, 1e300)
FRACTION = st.floats(0, 1)
RATIO = st.floats(1, 1e300)
SEED = st.integers(0, 2**32 - 1)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))  # NUL: no path holds it


def parquet(channels: int) -> st.SearchStrategy[ParquetImages]:
    return st.builds(
        ParquetImages,
        train=TEXT,
        test=TEXT,
        image_column=TEXT,
        imbalance_ratio=RATIO,
        head_count=st.none() | COUNTS,
        mean=st.tuples(*[REAL] * channels),
        std=st.tuples(*[POSITIVE] * channels),
        subset_seed=SEED,
    )


def experts(lambdas: list[float]) -> ExpertsConfig:
    return ExpertsConfig(count=len(lambdas), lambdas=tuple(lambdas), sharing="linear")


DATA = (
    st.builds(DigitsLT, imbalance_ratio=RATIO, head_count=COUNTS, subset_seed=SEED)
    | st.builds(GaussianLT, classes=COUNTS, noise=POSITIVE, contrast=POSITIVE)
    | st.integers(0, 3).flatmap(parquet)
    | st.builds(ParquetImages, train=TEXT, test=TEXT)
)
TRAINING = st.builds(
    TrainingConfig,
    epochs=COUNTS,
    learning_rate=POSITIVE,
    momentum=FRACTION,
    nesterov=st.just(False),
    milestones=st.lists(FRACTION, max_size=4).map(lambda found: tuple(sorted(found))),
    schedule=st.sampled_from(["multistep", "cosine"]),
    precision=st.sampled_from(["auto", "float32", "bfloat16"]),
    augmentation=st.builds(AugmentationConfig, flip=st.booleans(), rotation_degrees=POSITIVE),
)
CONFIGURATIONS = st.builds(
    Configuration,
    data=DATA,
    model=st.builds(ModelConfig, backbone=st.just("resnet56"), cosine_scale=POSITIVE),
    experts=st.builds(ExpertsConfig, count=COUNTS, spread=POSITIVE, centre=REAL)
    | st.lists(REAL, min_size=1, max_size=4).map(experts),
    mixup=st.builds(MixupConfig, alpha=POSITIVE),
    training=TRAINING,
)
STUDIES = st.builds(
    StudySpec,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,20}", fullmatch=True),
    question=TEXT,
    base=CONFIGURATIONS,
    search=st.fixed_dictionaries(
        {
            "training.batch_size": st.builds(
                IntParameter, low=st.just(2), high=COUNTS.filter(lambda high: high > 1)
            )
        },
        optional={
            "mixup.alpha": st.builds(
                FloatParameter,
                low=st.just(0.0),
                high=POSITIVE,
                when=st.fixed_dictionaries(
                    {},
                    optional={"training.batch_size": st.builds(Condition, at_least=st.just(1.0))},
                ),
            ),
            "training.decay": st.lists(POSITIVE | COUNTS, min_size=1, unique=True).map(
                lambda choices: CategoricalParameter(choices=tuple(choices))
            ),
        },
    ),
    objectives=st.dictionaries(
        st.sampled_from(objective_names()), st.sampled_from(["maximize", "minimize"]), min_size=1
    ),
    budget=st.builds(BudgetConfig, trials=COUNTS, wall_hours=st.none() | POSITIVE)
    | st.builds(BudgetConfig, device_hours=POSITIVE),
    known_points=st.dictionaries(
        st.sampled_from(["a", "b"]),
        st.fixed_dictionaries(
            {}, optional={"training.epochs": COUNTS, "model.cosine_scale": POSITIVE}
        ),
    ),
    repeats=st.integers(1, 9),
    final=st.builds(
        FinalConfig,
        training=st.fixed_dictionaries(
            {}, optional={"epochs": COUNTS, "augmentation.flip": st.booleans()}
        ),
        seeds=st.lists(SEED, min_size=1, max_size=3, unique=True).map(tuple),
    ),
    sampler=st.builds(
        lambda name, seed: SAMPLERS[name](seed=seed),
        st.sampled_from(["tpe", "random"]),
        st.none() | SEED,
    ),
    seed=SEED,
    resources=st.builds(ResourcesConfig, gpus_per_trial=POSITIVE, concurrent_trials=COUNTS),
)


@given(configuration=CONFIGURATIONS)
def test_a_dumped_configuration_loads_back_to_an_equal_one(
    tmp_path_factory: Any, configuration: Configuration
) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "configuration.yaml"
    path.write_text(dump_configuration(configuration), encoding="utf-8", newline="")
    assert load_configuration(path) == configuration


@given(study=STUDIES)
def test_a_dumped_study_loads_back_to_an_equal_one(tmp_path_factory: Any, study: StudySpec) -> None:
    path: Path = tmp_path_factory.getbasetemp() / "study.yaml"
    path.write_text(dump_study(study), encoding="utf-8", newline="")
    loaded = load_study(path)
    assert loaded == study
    assert list(loaded.search) == list(study.search)
    assert list(loaded.objectives) == list(study.objectives)


@pytest.mark.parametrize("text", ["a\nb\n", " a ", "\x85", "\u2028", "\ufeff", "a: b # c", "…\t"])
def test_unusual_text_survives(tmp_path: Path, text: str) -> None:
    configuration = Configuration(data=ParquetImages(train=text, test=text))
    path = tmp_path / "configuration.yaml"
    path.write_text(dump_configuration(configuration), encoding="utf-8", newline="")
    assert load_configuration(path) == configuration


@given(CONFIGURATIONS)
def test_plain_data_survives_json_and_validation(configuration: Configuration) -> None:
    plain = json.loads(json.dumps(to_plain(configuration), allow_nan=False))
    assert configuration_from_plain(plain, "x") == configuration
    assert plain == to_plain(configuration)
