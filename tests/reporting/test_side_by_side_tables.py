"""The names of models side by side."""

from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.reporting.side_by_side_tables import _short_names


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["models/digits_two", "models/digits_one"], ["two", "one"]),
        (["models/digits", "models/digits_mixup"], ["digits", "digits_mixup"]),
        (["models/digits_mixup", "models/digits"], ["digits_mixup", "digits"]),
        (["a_", "a_b"], ["a_", "a_b"]),
        (["a/model", "b/model"], ["a/model", "b/model"]),
        (["one"], ["one"]),
        (["one_two"], ["one_two"]),
        (["/", "a"], ["/", "a"]),
    ],
)
def test_no_model_has_an_empty_name(paths: list[str], names: list[str]) -> None:
    assert _short_names(list(map(Path, paths))) == names


def test_the_working_directory_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path / "digits")
    assert _short_names([Path(), Path("../mixup")]) == ["digits", "mixup"]
