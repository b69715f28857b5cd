from __future__ import annotations

import math

import pytest

from balpoe.config import TrainingConfig
from balpoe.training.schedule import learning_rates


def test_the_standard_schedule_is_the_published_one() -> None:
    rates = learning_rates(TrainingConfig(epochs=200))
    assert rates[:5] == pytest.approx((0.02, 0.04, 0.06, 0.08, 0.1))
    assert rates[5:160] == pytest.approx((0.1,) * 155)
    assert rates[160:180] == pytest.approx((0.01,) * 20)
    assert rates[180:] == pytest.approx((0.001,) * 20)


def test_the_long_schedule_is_the_published_one() -> None:
    rates = learning_rates(TrainingConfig(epochs=400))
    assert rates[:10] == pytest.approx([0.01 * (epoch + 1) for epoch in range(10)])
    changes = [epoch for epoch in range(10, 400) if rates[epoch] < rates[epoch - 1]]
    assert changes == [320, 360]


def test_cosine_falls_from_the_full_rate_towards_zero_per_epoch() -> None:
    training = TrainingConfig(epochs=180, learning_rate=0.025, schedule="cosine", warmup=0)
    rates = learning_rates(training)
    assert rates[0] == 0.025
    assert rates[90] == pytest.approx(0.0125)
    assert rates[179] == pytest.approx(0.0125 * (1 + math.cos(math.pi * 179 / 180)))


def test_a_warm_up_share_that_binary_cannot_hold_is_not_rounded_up() -> None:
    rates = learning_rates(TrainingConfig(epochs=30, warmup=0.1, milestones=()))
    assert rates[:4] == pytest.approx((0.1 / 3, 0.2 / 3, 0.1, 0.1))


def test_a_short_run_still_warms_up_and_decays() -> None:
    rates = learning_rates(TrainingConfig(epochs=20))
    assert rates[15] == pytest.approx(0.1)
    assert rates[16] == pytest.approx(0.01)
    assert rates[18] == pytest.approx(0.001)
