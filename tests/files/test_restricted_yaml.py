from __future__ import annotations

import math
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from balpoe.errors import ConfigurationError
from balpoe.files.document import Document
from balpoe.files.restricted_yaml import MOST_LEVELS, Dumper, read_yaml


def read(text: str) -> Document:
    return read_yaml(text, "x.yaml")


def value(text: str) -> Any:
    return read(f"key: {text}").content["key"]


def refusal(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1.0e-05", 1e-5),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
    ],
)
def test_numbers_with_a_point_or_an_exponent_are_floats(text: str, number: float) -> None:
    read_number = value(text)
    assert isinstance(read_number, float)
    assert read_number == number


def test_not_a_number_is_read_so_that_it_can_be_refused_by_name() -> None:
    assert math.isnan(value(".nan"))


@pytest.mark.parametrize(
    ("text", "integer"), [("0", 0), ("-7", -7), ("+3", 3), ("9" * 18, 10**18 - 1)]
)
def test_decimal_integers_are_integers(text: str, integer: int) -> None:
    read_integer = value(text)
    assert type(read_integer) is int
    assert read_integer == integer


@pytest.mark.parametrize(
    "text",
    [
        *("no", "yes", "on", "off", "No", "YES", "y", "n"),
        *("017", "0o17", "0x1F", "0b1", "1_000", "1:30", "00", "017.5", "1.5.2", "1e", "9" * 19),
        *("2001-01-01", "inf", "nan", "<<", "=", "e5", "."),
    ],
)
def test_what_yaml_1_1_would_reinterpret_stays_text(text: str) -> None:
    assert value(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("true", True), ("False", False), ("null", None), ("~", None), ("", None)],
)
def test_booleans_and_null_are_those_of_yaml_1_2(text: str, expected: bool | None) -> None:
    assert value(text) is expected


def test_quotes_make_text_of_anything() -> None:
    assert value('"1e-4"') == "1e-4"
    assert value("'true'") == "true"


def test_keys_are_text_whatever_they_look_like() -> None:
    assert read("1: a\ntrue: b\nnull: c\n").content == {"1": "a", "true": "b", "null": "c"}


def test_every_key_and_element_knows_its_line() -> None:
    document = read("# a comment\na: 1\nb:\n  c: {d: 2,\n      e: 3}\n  f:\n  - 4\n  - 5\n")
    assert document.lines == {
        (): 1,
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "c", "d"): 4,
        ("b", "c", "e"): 5,
        ("b", "f"): 6,
        ("b", "f", 0): 7,
        ("b", "f", 1): 8,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml:1: is empty"),
        ("# only this\n", "x.yaml:1: is empty"),
        ("\n- a\n- b\n", "x.yaml:2: must be keys with values, not a list"),
        ("\n\nwords", "x.yaml:3: must be keys with values, not a single value"),
        (
            "a: 1\nb: &x 2\nc: *x\n",
            "x.yaml:2: anchors (&) and aliases (*) are not allowed: write it out",
        ),
        ("a: *x\n", "x.yaml:1: anchors (&) and aliases (*) are not allowed: write it out"),
        ("a: 1\nb: !!int 2\n", "x.yaml:2: tags (!) are not allowed: remove it"),
        ("a: !!python/object:os.system {}\n", "x.yaml:1: tags (!) are not allowed: remove it"),
        ("a: 1\nb: [1, 2\nc: 3\n", "x.yaml:3: is not valid YAML: expected ',' or ']', but got ':'"),
        (
            "a: 1\n\tb: 2\n",
            "x.yaml:2: is not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("a: 1\n---\nb: 2\n", "x.yaml:2: is not valid YAML: but found another document"),
        ("a: 1\nb: x\x07y\n", "x.yaml:2: holds the character U+0007: remove it"),
    ],
)
def test_what_is_not_our_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    assert refusal(text) == message


def test_nesting_ends_at_the_cap_and_never_at_the_stack() -> None:
    deepest = "a: " + "[" * (MOST_LEVELS - 2) + "1" + "]" * (MOST_LEVELS - 2)
    assert read(deepest).content["a"]
    for levels in (MOST_LEVELS - 1, 100_000):
        assert refusal("a: " + "[" * levels + "1") == "x.yaml:1: is nested more than 20 levels deep"


def described(text: str) -> str:
    document = read(text)
    return str(document.error(document.problems))


def test_a_repeated_key_is_named_with_both_lines() -> None:
    assert described("a: 1\nb: 2\na: 3\n") == "x.yaml:1 a: is given again in line 3: keep one"
    assert described("b:\n  a: 1\n  'a': 3\n") == "x.yaml:2 b.a: is given again in line 3: keep one"


def test_a_key_that_is_not_text_is_named() -> None:
    assert described("a:\n  ? [1]\n  : 2\n") == "x.yaml:1 a: has a key in line 2 that is not text"


@pytest.mark.parametrize("escape", [r"\0", r"\ud800"])
def test_text_that_no_path_or_file_can_hold_is_named(escape: str) -> None:
    expected = r"x.yaml:1 a: must not hold \0 or half a surrogate pair"
    assert described(f'a: "{escape}"') == expected


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="\0")), inner)
    ),
    max_leaves=10,
)


@given(PLAIN)
def test_what_the_dumper_writes_is_read_back(plain: Any) -> None:
    text = yaml.dump({"key": plain}, Dumper=Dumper, allow_unicode=True)
    document = read(text)
    assert document.content == {"key": plain}
    assert not document.problems


@pytest.mark.parametrize("text", ["no", "017", "1e-4", "1_000", "2001-01-01", "<<", "1:30", "~"])
def test_text_is_dumped_so_that_ordinary_readers_agree(text: str) -> None:
    dumped = yaml.dump({"key": text}, Dumper=Dumper)
    assert read(dumped).content == yaml.safe_load(dumped) == {"key": text}
