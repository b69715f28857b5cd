"""Costs of decisions as CSV, and as numbers in study and configuration files."""

from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.config import Configuration, CostMatrix, identifying, to_plain
from balpoe.errors import ConfigurationError
from balpoe.files import (
    configuration_from_plain,
    cost_place,
    dump_configuration,
    dump_study,
    load_configuration,
    load_study,
)
from balpoe.files.cost_file import read_costs

COSTS = CostMatrix(
    classes=("robin", "кеа, red/green", "heron"),
    rows=((0.0, 1.0, 1.0), (5.0, 0.0, 2.5), (1.0, 1.0, 0.0)),
)
CSV = """true,robin,"кеа, red/green",heron
heron,1,1,0
robin, 0,1,1

"кеа, red/green",5,0,2.5
"""
DATA = "data: {name: digits_lt, imbalance_ratio: 20}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "costs.csv"
    path.write_text(CSV, encoding="utf-8-sig")
    return path


def test_rows_may_have_any_order_and_names_any_character(file: Path) -> None:
    assert read_costs(file) == COSTS


def test_the_place_of_a_class_is_its_line_or_the_key_of_the_numbers(file: Path) -> None:
    yaml = file.parent / "a.yaml"
    yaml.write_text(f"{DATA}cost: {file}\n")
    assert cost_place(yaml, "кеа, red/green") == f"{file}:5"
    assert cost_place(yaml, "absent") == f"{file}:1"
    yaml.write_text(dump_configuration(load_configuration(yaml)))
    assert cost_place(yaml, "heron") == f"{yaml} cost"


def test_a_file_becomes_numbers_that_go_with_the_configuration(file: Path) -> None:
    yaml = file.parent / "a.yaml"
    yaml.write_text(f"{DATA}cost: {file}\n")
    configuration = load_configuration(yaml)
    assert configuration.cost == COSTS
    file.unlink()
    text = dump_configuration(configuration)
    assert str(file) not in text
    yaml.write_text(text)
    assert load_configuration(yaml) == configuration
    assert configuration_from_plain(to_plain(configuration), "model.json") == configuration


def test_a_study_has_costs_too(file: Path) -> None:
    yaml = file.parent / "a.yaml"
    yaml.write_text(
        f"name: a\n{DATA}cost: {file}\nsearch: {{mixup.alpha: {{type: float, low: 0, high: 1}}}}\n"
        "objectives: {val/accuracy: maximize}\nbudget: {trials: 1}\n"
    )
    study = load_study(yaml)
    assert study.base.cost == COSTS
    yaml.write_text(dump_study(study))
    assert load_study(yaml) == study


def test_a_configuration_without_costs_is_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(DATA)
    configuration: Configuration = load_configuration(path)
    assert "cost" not in to_plain(configuration)
    assert "cost" not in identifying(configuration)


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["1: is empty: it must name the predicted classes first"]),
        (
            "x;a;b\na;0;1\n",
            [
                "1: must name the predicted classes after the first cell, separated by commas, "
                "got one cell"
            ],
        ),
        (",a,b,a\n", ['1: "a" comes twice: keep one column']),
        (",a,\n", ["1: the name in column 3 is empty: write that of a class"]),
        (
            ",heron,robin\nheron,0,1\nrobbin,1,0\n",
            [
                '3: "robbin" is no predicted class of line 1; did you mean robin?',
                '1: "robin" has a column, but no row: add it',
            ],
        ),
        (
            ",heron,robin\nheron,0,1\nheron,1,0\nrobin,1,0\n",
            ['3: "heron" has a row in line 2 already: keep one'],
        ),
        (
            ",heron,robin\nheron,0\nrobin,1,0\n",
            ["2: must have 2 costs, one for each class of line 1, got 1"],
        ),
        (
            ",heron,robin\nheron,0,one\nrobin,-1,nan\n",
            [
                '2: the cost of predicting "robin" must be a number, got "one"',
                '3: the cost of predicting "heron" must be at least 0, got -1: add the same number '
                "to the whole row, which changes no decision",
                '3: the cost of predicting "robin" must be a number, got "nan"',
            ],
        ),
        ('a,"b\n', ["1: is not CSV: unexpected end of data"]),
    ],
)
def test_every_problem_has_its_line_and_a_fix(
    tmp_path: Path, text: str, problems: list[str]
) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        read_costs(path)
    assert list(error.value.problems) == [f"{path}:{problem}" for problem in problems]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    with pytest.raises(ConfigurationError, match=r"costs\.csv: cannot be read: No such file"):
        read_costs(path)
    path.write_bytes(b",a\na,\xff\n")
    with pytest.raises(ConfigurationError, match=r"costs\.csv:2: must be UTF-8 text"):
        read_costs(path)


def test_a_file_that_is_too_large_is_not_blamed_for_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_bytes("é".encode() * (2**19 + 1))  # cut inside a character
    with pytest.raises(ConfigurationError, match=r"costs\.csv: must be at most 1048576 bytes"):
        read_costs(path)


@pytest.mark.parametrize("text", ["1_0", "١", "１", "0x1", "1e999", "inf", "", "1 0", "."])
def test_only_decimal_numbers_are_costs(tmp_path: Path, text: str) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(f",a,b\na,0,{text}\nb,1,0\n")
    with pytest.raises(ConfigurationError, match=r"costs\.csv:2: .* must be a number, got"):
        read_costs(path)


def test_all_forms_of_decimal_numbers_are_costs(tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(",a,b\na,0., +1.5e1\nb,.5 ,2E-1\n")
    assert read_costs(path).rows == ((0.0, 15.0), (0.5, 0.2))


def test_a_matrix_has_at_most_200_classes_in_every_file(tmp_path: Path) -> None:
    names = [f"c{y}" for y in range(201)]
    path = tmp_path / "costs.csv"
    path.write_text(f",{','.join(names)}\n")
    with pytest.raises(ConfigurationError, match=r"costs\.csv:1: must be at most 200 classes"):
        read_costs(path)
    yaml = tmp_path / "a.yaml"
    yaml.write_text(f"{DATA}cost:\n  classes: {names}\n  rows: []\n")
    with pytest.raises(ConfigurationError, match=r"cost\.classes: must be at most 200, got 201"):
        load_configuration(yaml)


def test_numbers_in_a_file_must_be_square(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"{DATA}cost:\n  classes: [a, b]\n  rows:\n  - [0, 1]\n  - [1]\n")
    with pytest.raises(ConfigurationError, match=r"a\.yaml:6 cost\.rows\[1\]: must be 2 numbers"):
        load_configuration(path)
