"""What two processes must have in common, and what may differ."""

from __future__ import annotations

from pathlib import Path

import pytest

from balpoe.study.execution.software import (
    CODE,
    PYTHON,
    code_fingerprint,
    differences_text,
    software,
    version_differences,
)


def test_a_process_agrees_with_itself() -> None:
    assert list(version_differences(software(), software())) == []


@pytest.mark.parametrize(
    ("name", "theirs", "is_decisive"),
    [
        (CODE, "0" * 64, True),
        (PYTHON, "3.9.1", True),
        ("torch", "1.0.0", True),
        ("numpy", "not installed", True),
        ("pyarrow", "1.0", False),
    ],
)
def test_what_changes_results_is_decisive(name: str, theirs: str, is_decisive: bool) -> None:
    [found] = version_differences(software(), {**software(), name: theirs})
    assert (found.component, found.theirs, found.is_decisive) == (name, theirs, is_decisive)
    text = differences_text(software(), {**software(), name: theirs}, decisive=is_decisive)
    assert f"{name} is {theirs[:16]}, the driver's " in str(text)


@pytest.mark.parametrize(
    ("name", "ours", "theirs"),
    [("torch", "2.11.0+cpu", "2.11.0+cu128"), (PYTHON, "3.11.2", "3.11.9")],
)
def test_builds_for_devices_and_patch_releases_decide_nothing(
    name: str, ours: str, theirs: str
) -> None:
    [found] = version_differences({**software(), name: ours}, {**software(), name: theirs})
    assert not found.is_decisive


def test_the_fingerprint_changes_with_any_file_and_any_name(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "part").mkdir(parents=True)
    (package / "part/a.py").write_text("a = 1\n")
    (package / "notes.txt").write_text("not code")
    before = code_fingerprint(package)
    (package / "notes.txt").write_text("changed")
    assert code_fingerprint(package) == before
    (package / "part/a.py").write_text("a = 2\n")
    changed = code_fingerprint(package)
    (package / "part/a.py").rename(package / "part/b.py")
    assert len({before, changed, code_fingerprint(package)}) == 3
