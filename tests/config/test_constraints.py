from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.config import BudgetConfig, Configuration, Constraint, FloatParameter, StudySpec
from balpoe.config.constraints import excesses, violated
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.errors import InvalidFields

STUDY = StudySpec(
    name="s",
    base=Configuration(data=DigitsLT()),
    search={"mixup.alpha": FloatParameter(low=0, high=1)},
    objectives={"val/accuracy": "maximize"},
    budget=BudgetConfig(trials=1),
)


def test_the_excess_is_a_fraction_of_the_bound_on_the_side_of_each_bound() -> None:
    constraints = {
        "val/accuracy_few": Constraint(at_least=0.2),
        "parameters": Constraint(at_least=1e5, at_most=1e6),
        "val/ece": Constraint(at_most=0.0),
    }
    found = excesses(constraints, {"val/accuracy_few": 0.15, "parameters": 1.5e6, "val/ece": 0.1})
    assert found == pytest.approx(
        {
            "val/accuracy_few >= 0.2": 0.25,
            "parameters >= 100000": -14.0,
            "parameters <= 1e+06": 0.5,
            "val/ece <= 0": 0.1,
        }
    )
    assert set(violated(found)) == {
        "val/accuracy_few >= 0.2",
        "parameters <= 1e+06",
        "val/ece <= 0",
    }


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_constraint_is_broken_exactly_beyond_its_bound(bound: float, value: float) -> None:
    low = excesses({"val/nll": Constraint(at_least=bound)}, {"val/nll": value})
    high = excesses({"val/nll": Constraint(at_most=bound)}, {"val/nll": value})
    assert bool(violated(low)) == (value < bound)
    assert bool(violated(high)) == (value > bound)


def test_a_constraint_must_say_something_that_can_be_kept() -> None:
    with pytest.raises(InvalidFields, match="at_least: must be given, or at_most"):
        Constraint()
    with pytest.raises(InvalidFields, match=r"at_most: must be at least at_least \(2\), got 1"):
        Constraint(at_least=2, at_most=1)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("test/ece", "must be a val/ metric or a cost: a search never sees the test set"),
        ("weights", "unknown metric; known are val/accuracy, "),
        ("val/acuracy_few", "unknown metric; did you mean val/accuracy_few?"),
    ],
)
def test_only_what_a_search_may_see_can_be_constrained(name: str, told: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        replace(STUDY, constraints={name: Constraint(at_most=1)})
    assert f"constraints.{name}: {told}" in str(caught.value)
