"""Experts trained where every posterior is known: the theory at work, end to end."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from balpoe.config import Configuration, ExpertsConfig, MixupConfig, ModelConfig, TrainingConfig
from balpoe.data import SearchSplits, load_search_splits
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.training.epoch import EpochResult
from balpoe.training.training import Training

CONFIGURATION = Configuration(
    data=GaussianLT(
        classes=5, head_count=400, imbalance_ratio=20, validation_per_class=100, noise=24
    ),
    model=ModelConfig(backbone="resnet8"),
    experts=ExpertsConfig(count=3, spread=1.0),
    mixup=MixupConfig(alpha=0.2),
    training=TrainingConfig(epochs=12, batch_size=64, precision="float32"),
)


@pytest.fixture(scope="module")
def splits() -> SearchSplits:
    return load_search_splits(CONFIGURATION.data)


def train(configuration: Configuration, splits: SearchSplits) -> tuple[EpochResult, ...]:
    training = Training(
        configuration,
        train=splits.train,
        validation=splits.validation,
        description=splits.description,
        seed=0,
        device=torch.device("cpu"),
    )
    for _ in training.fit():
        pass
    return training.history


@pytest.fixture(scope="module")
def history(splits: SearchSplits) -> tuple[EpochResult, ...]:
    return train(CONFIGURATION, splits)


def test_the_divergence_from_the_target_prior_falls(history: tuple[EpochResult, ...]) -> None:
    first, last = history[0].metrics, history[-1].metrics
    for owner in ("val", "val/expert_0", "val/expert_1", "val/expert_2"):
        name = f"{owner}/kl_to_target_prior_matched"
        assert last[name] < first[name] / 2, owner


def test_the_balanced_ensemble_approaches_the_bayes_rule(history: tuple[EpochResult, ...]) -> None:
    first, last = history[0].metrics, history[-1].metrics
    assert last["val/bayes_balanced_accuracy_gap"] < 0.05
    assert last["val/bayes_posterior_kl"] < first["val/bayes_posterior_kl"] / 3


def test_an_ensemble_biased_to_the_head_stays_further_from_the_balanced_rule(
    history: tuple[EpochResult, ...], splits: SearchSplits
) -> None:
    head_heavy = replace(CONFIGURATION, experts=ExpertsConfig(count=3, spread=1.0, centre=2.0))
    biased = train(head_heavy, splits)[-1].metrics
    balanced = history[-1].metrics
    assert balanced["val/balanced_accuracy"] > biased["val/balanced_accuracy"]
