"""The code and the libraries that produce a result."""

from __future__ import annotations

import functools
import getpass
import importlib.metadata
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DISTRIBUTIONS = ("balpoe", "torch", "ray", "optuna", "mlflow")


@dataclass(frozen=True, slots=True)
class Environment:
    """The versions of distributions, the commit of balpoe's code and the user; None if unknown.

    A commit that ends in `-dirty` has uncommitted changes.
    """

    versions: Mapping[str, str]
    git_commit: str | None
    user: str | None


@functools.cache
def current_environment() -> Environment:
    """Return the environment of this process at the first call: its code does not change either."""
    versions = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    return Environment(versions, git_commit(Path(__file__)), _user())


def git_commit(file: Path) -> str | None:
    """Return the commit of the repository of `file`; None if git does not track the file."""
    if _git(file.parent, "ls-files", "--error-unmatch", file.name) is None:
        return None  # installed code, perhaps inside an unrelated repository
    return _git(file.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return None
