"""Which code made a result, whether it comes from a repository or not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from balpoe.launch.tracking import study_origin
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.environment import current_environment, git_commit


def test_the_environment_has_the_versions_that_decide_results() -> None:
    versions = current_environment().versions
    assert set(versions) == {"balpoe", "torch", "ray", "optuna", "mlflow"}
    assert all(versions.values())


def _repository(path: Path) -> Callable[..., str]:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=ada", "-c", "user.email=ada@example.org"]
        command = ["git", "-C", str(path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init")
    return git


def test_the_commit_is_that_of_the_code_and_says_whether_the_code_was_changed(
    tmp_path: Path,
) -> None:
    git = _repository(tmp_path)
    (tmp_path / "environment.py").write_text("")
    git("add", ".")
    git("commit", "-m", "code")
    head = git("rev-parse", "HEAD")
    assert git_commit(tmp_path / "environment.py") == head
    (tmp_path / "environment.py").write_text("changed")
    assert git_commit(tmp_path / "environment.py") == f"{head}-dirty"


def test_code_that_is_merely_installed_inside_a_repository_has_no_commit(tmp_path: Path) -> None:
    git = _repository(tmp_path)
    (tmp_path / "study.yaml").write_text("")
    git("add", ".")
    git("commit", "-m", "a study")
    assert git_commit(tmp_path / "environment.py") is None


def test_a_study_file_has_the_commit_of_its_repository_if_it_is_tracked(tmp_path: Path) -> None:
    git = _repository(tmp_path)
    study, other = tmp_path / "study.yaml", tmp_path / "other.yaml"
    study.write_text("name: a")
    git("add", ".")
    git("commit", "-m", "study")
    other.write_text("name: b")
    directory = StudyDirectory(tmp_path / "runs")
    tracked = study_origin(directory, study)
    assert tracked.study_tags() == {"study_commit": git("rev-parse", "HEAD")}
    assert tracked.study_tags(began=0.0) == {}
    assert study_origin(directory, other).study_tags() == {}
