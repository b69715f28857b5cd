from __future__ import annotations

import pytest

from balpoe.config import Choice, metric_table
from balpoe.reporting.formatting import (
    bare_number,
    duration,
    is_fraction,
    label,
    label_with_unit,
    mean_and_sd,
    number_with_unit,
    parameter_value,
)
from balpoe.study.selection.candidates import OverSeeds


def test_accuracies_and_calibration_errors_are_percent_and_nothing_else() -> None:
    in_percent = {name for name in metric_table() if is_fraction(f"val/{name}")}
    assert set(metric_table()) - in_percent == {
        "nll",
        "balanced_nll",
        "kl_to_target_prior",
        "kl_to_target_prior_matched",
        "expected_cost",
        "balanced_expected_cost",
    }


def test_a_fraction_becomes_percent_and_a_divergence_stays() -> None:
    assert number_with_unit("val/accuracy", 0.9333) == "93.3 %"
    assert number_with_unit("val/nll", 0.2734) == "0.273"
    assert bare_number("val/expert_0/ece", 0.0312) == "3.1"
    assert label_with_unit("val/ece") == "ECE %"


def test_every_metric_has_a_label_of_its_own() -> None:
    assert len({label(name) for name in metric_table()}) == len(metric_table())


def test_a_spread_is_in_the_unit_of_its_mean() -> None:
    assert mean_and_sd("val/accuracy", OverSeeds(0.9333, 0.0041, 3)) == "93.3 ±0.4"
    assert mean_and_sd("val/accuracy", OverSeeds(0.9333, None, 1)) == "93.3"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.4, "0:00"), (59.6, "1:00"), (61, "1:01"), (3599.6, "1:00:00"), (11_100, "3:05:00")],
)
def test_a_length_of_time_reads_like_a_clock(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.43714, "0.437"), (1e-4, "0.0001"), (3, "3"), (True, "true"), ("shared", "shared")],
)
def test_a_parameter_has_three_significant_digits(value: Choice, shown: str) -> None:
    assert parameter_value(value) == shown


def test_a_parameter_that_a_trial_does_not_have_is_a_dash() -> None:
    assert parameter_value(None) == "–"
