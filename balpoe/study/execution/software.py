"""Which code and libraries a process runs, as far as the results of trials depend on them.

Nothing of this package is imported here, and nothing outside the standard library: a node that
lacks balpoe is asked by these functions too, sent there by value.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CODE, PYTHON = "balpoe's code", "python"
DECISIVE = ("ray", "torch", "torchvision", "numpy", "pillow")
INCIDENTAL = ("pyarrow", "safetensors", "scikit-learn")
ABSENT = "not installed"

_SHOWN = 16

Software = Mapping[str, str]
"""Versions by name; of balpoe the sha256 of its source files."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two processes run different versions of `component`.

    A decisive one may change results; others, such as the build of torch for another device or
    Python's patch release, are told.
    """

    component: str
    ours: str
    theirs: str
    is_decisive: bool


def software() -> dict[str, str]:
    """What this process would import now."""
    found = {name: _version(name) for name in (*DECISIVE, *INCIDENTAL)}
    return {CODE: _code(), PYTHON: platform.python_version(), **found}


def code_fingerprint(package: Path) -> str:
    """The sha256 over the names and contents of all Python files below `package`."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def disagreements(ours: Software, theirs: Software) -> Iterator[Disagreement]:
    """Where two processes differ."""
    for name in (CODE, PYTHON, *DECISIVE, *INCIDENTAL):
        if ours[name] != theirs[name]:
            decisive = name == CODE or _release(name, ours[name]) != _release(name, theirs[name])
            yield Disagreement(name, ours[name], theirs[name], decisive)


def in_words(differing: Sequence[Disagreement]) -> str:
    """What another process runs, what ours does, and the cure, in one line."""
    listed = (
        f"{each.component} is {each.theirs[:_SHOWN]}, the driver's {each.ours[:_SHOWN]}"
        for each in differing
    )
    return f"{', '.join(listed)}; install the driver's there, or take the node away"


def _code() -> str:
    found = importlib.util.find_spec("balpoe")
    if found is None or found.origin is None:
        return ABSENT
    return code_fingerprint(Path(found.origin).parent)


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def _release(name: str, version: str) -> str:
    """The part of a version that decides: no build for a device, no patch release of Python."""
    if name in INCIDENTAL:
        return ""
    return ".".join(version.split(".")[:2]) if name == PYTHON else version.partition("+")[0]
