"""The benchmark of the methods' costs: what it measures, and the ratios that it prints."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from balpoe.config.configuration import ClassSampling
from balpoe.config.loss import LOSSES
from balpoe.config.mixing import MIXERS
from tests.benchmarks.method_costs import BALPOE, balpoe, measure, methods, random_data, table

BASE = balpoe("resnet8", batch_size=64, epochs=3)


def test_every_loss_mixer_and_sampling_is_a_method() -> None:
    found = methods(BASE).values()
    assert {each.loss.name for each in found} == set(LOSSES.entries)
    assert {each.mixing.name for each in found if each.mixup.alpha} == set(MIXERS.entries)
    assert {each.training.class_sampling for each in found} == set(get_args(ClassSampling))
    assert any(each.reweighting.beta for each in found)


def test_methods_take_turns_and_are_compared_with_balpoe_in_each_round() -> None:
    chosen = (BALPOE, "loss ride", "mixing unimix", "sampling progressive")
    configurations = {name: methods(BASE)[name] for name in chosen}
    costs = measure(configurations, random_data(100, 8), torch.device("cpu"))
    assert tuple(costs) == chosen
    assert costs[BALPOE].ratios == (1.0, 1.0)
    for cost in costs.values():
        assert len(cost.speeds) == 2
        for own, other, ratio in zip(cost.speeds, costs[BALPOE].speeds, cost.ratios, strict=True):
            assert own == pytest.approx(ratio * other)
    assert [line.split(" | ")[0] for line in table(costs)][2:] == [f"| {name}" for name in chosen]
