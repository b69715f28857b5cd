"""With which code and libraries a result came about."""

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
    """Versions by distribution, the commit of balpoe's code and the user; None: not known.

    A commit that ends in `-dirty` stands for the code of that commit with changes.
    """

    versions: Mapping[str, str]
    git_commit: str | None
    user: str | None


@functools.cache
def current_environment() -> Environment:
    """The environment of this process: what it was when first asked, as its code is."""
    versions = {name: importlib.metadata.version(name) for name in _DISTRIBUTIONS}
    return Environment(versions, git_commit(Path(__file__).parent), _user())


def git_commit(directory: Path) -> str | None:
    """The commit of the code in `directory`; None where git does not track it."""
    if _git(directory, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None  # installed, perhaps below a repository that has nothing to do with it
    return _git(directory, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


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
