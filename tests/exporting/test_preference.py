"""User-defined orders: arithmetic on metrics and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balpoe.errors import UserError
from balpoe.exporting.preference import Preference

METRICS = {"val/accuracy": 0.9, "val/ece": 0.04, "val/expert_0/ece": 0.2, "train/loss": 2.0}
NAMES = {"val/accuracy": "a", "val/ece": "b", "val/expert_0/ece": "c", "train/loss": "d"}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("val/accuracy", 0.9),
        ("val/accuracy - 0.5*val/ece", 0.88),
        ("-val/expert_0/ece", -0.2),
        ("val/accuracy/2", 0.45),
        ("(val/accuracy + 0.1) / train/loss", 0.5),
        ("2*(val/accuracy-val/ece)**2", 2 * 0.86**2),
        ("1e-1 + 3", 3.1),
    ],
)
def test_it_is_computed_as_it_reads(expression: str, value: float) -> None:
    assert Preference(expression).value(METRICS) == pytest.approx(value)


@pytest.mark.parametrize(
    "name", ["2", "Great Tit", "ñandú", "red/green", "a-b", "o'clock", "x\\n", "кеа" * 100]
)
def test_names_in_quotes_may_hold_any_characters(name: str) -> None:
    metric = f"val/class/{name}/recall"
    quote = '"' if "'" in name else "'"
    expression = f"{quote}{metric}{quote} - 0.5*val/ece"
    assert Preference(expression).value({metric: 0.8, "val/ece": 0.1}) == pytest.approx(0.75)
    with pytest.raises(UserError, match="unknown metric") as refused:
        Preference(f"{quote}{metric}{quote} - val/ecf").value({metric: 0.8, "val/ece": 0.1})
    _, caret, _ = str(refused.value).split("\n")
    assert caret.index("^") - len("--prefer  ") == len(metric) + 5


def test_a_name_that_needs_quotes_is_suggested_in_quotes() -> None:
    with pytest.raises(UserError, match=r"did you mean 'val/class/2/recall'\?"):
        Preference("val/class/2/recall").value({"val/class/2/recall": 1.0})
    with pytest.raises(UserError, match="given in quotes"):
        Preference("val/class/Great Tit/recall")
    with pytest.raises(UserError, match="apart from names in quotes"):
        Preference("val/class/ñandú/recall")


arithmetic = st.recursive(
    st.sampled_from([*NAMES, "0.5", "2"]),
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from("+-*"), inner),
        st.builds("(-{})".format, inner),
    ),
    max_leaves=8,
)


@given(expression=arithmetic)
def test_it_agrees_with_python_on_plain_names(expression: str) -> None:
    plain = expression
    for name, letter in NAMES.items():
        plain = plain.replace(name, letter)
    expected = eval(plain, {NAMES[name]: value for name, value in METRICS.items()})
    assert Preference(expression).value(METRICS) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("expression", "place"),
    [
        ("val/accuracy + )", 15),
        ("val/ece * abs(val/accuracy)", 10),
        ("__import__('os').system('true')", 0),
        ("val/accuracy if 1 else 2", 0),
        ("val/ece + True", 10),
        ("val/ece + 'text'", 10),
        ("val/ece + ''", 10),
        ("1 + 'val/ece''val/ece'", 4),
        ("1 + b'val/ece'", 4),
        ("1 + 'test/accuracy'", 4),
        ("val/ece < 1", 0),
        ("val/ece % 2", 0),
        ("1 + [val/ece][0]", 4),
        ("1 + test/accuracy", 4),
    ],
)
def test_what_is_no_arithmetic_is_refused_with_its_place(expression: str, place: int) -> None:
    with pytest.raises(UserError) as refused:
        Preference(expression)
    line, caret, _ = str(refused.value).split("\n")
    assert line == f"--prefer  {expression}"
    assert caret.index("^") - len("--prefer  ") == place


def test_a_metric_that_a_trial_lacks_is_named_with_one_that_is_near() -> None:
    with pytest.raises(UserError, match=r"unknown metric val/acuracy; did you mean val/accuracy\?"):
        Preference("1 - val/acuracy").value(METRICS)


@pytest.mark.parametrize(
    "expression", ["1 / (val/ece - val/ece)", "1e300**2", "(-1)**0.5", "1e999"]
)
def test_what_is_no_finite_number_is_refused(expression: str) -> None:
    with pytest.raises(UserError, match="--prefer"):
        Preference(expression).value(METRICS)


@pytest.mark.parametrize(
    "expression", ["", "(" * 5000, "-" * 5000 + "1", "val/ece\n+1", "λ", "a\0", "val/accuracy +"]
)
def test_no_text_brings_about_anything_but_a_refusal(expression: str) -> None:
    with pytest.raises(UserError, match="--prefer"):
        Preference(expression)
