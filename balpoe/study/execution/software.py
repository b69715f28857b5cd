"""The code and the libraries of a process that affect the results of trials.

They include all installed packages that add entries to balpoe's tables by entry points.

This module imports the standard library only: its functions are sent by value to nodes that may
lack balpoe.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

CODE, PYTHON = "balpoe's code", "python"
DECISIVE = ("ray", "torch", "torchvision", "numpy", "pillow")
INCIDENTAL = ("pyarrow", "safetensors", "scikit-learn")
ABSENT = "not installed"

_SHOWN = 16
_GROUPS = "balpoe."

Software = Mapping[str, str]
"""Versions by name; of balpoe the sha256 of its source files."""


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """Two processes run different versions of `component`.

    A decisive difference may change results. Others, such as builds of torch for other devices or
    patch releases of Python, are only reported.
    """

    component: str
    ours: str
    theirs: str
    is_decisive: bool


def software() -> dict[str, str]:
    """Return the versions that this process imports."""
    found = {name: _version(name) for name in (*DECISIVE, *INCIDENTAL)}
    return {CODE: _code(), PYTHON: platform.python_version(), **_packages_of_entries(), **found}


def code_fingerprint(package: Path) -> str:
    """Return the sha256 of the names and contents of all Python files below `package`."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def version_differences(ours: Software, theirs: Software) -> Iterator[VersionDifference]:
    """Yield the differences between two processes."""
    for name in dict.fromkeys((*ours, *theirs)):
        here, there = ours.get(name, ABSENT), theirs.get(name, ABSENT)
        if here != there:
            decisive = _release(name, here) != _release(name, there)
            yield VersionDifference(name, here, there, decisive)


def differences_text(drivers: Software, theirs: Software, *, decisive: bool) -> str | None:
    """Return a line with the differences of one kind from the driver and a fix, or None."""
    listed = [
        f"{each.component} is {each.theirs[:_SHOWN]}, the driver's {each.ours[:_SHOWN]}"
        for each in version_differences(drivers, theirs)
        if each.is_decisive is decisive
    ]
    if not listed:
        return None
    return f"{', '.join(listed)}; install the driver's version there, or remove the node"


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


def _packages_of_entries() -> dict[str, str]:
    """Return the versions of the packages with entry points in the groups ``balpoe.…``."""
    points = importlib.metadata.entry_points()
    groups = sorted(group for group in points.groups if group.startswith(_GROUPS))
    packages = (point.dist for group in groups for point in points.select(group=group))
    return {package.name: package.version for package in packages if package is not None}


def _release(name: str, version: str) -> str:
    """Return the decisive part of a version: without the build or Python's patch release."""
    if name in INCIDENTAL:
        return ""
    if name == PYTHON:
        return ".".join(version.split(".")[:2])
    return version.partition("+")[0] if name in DECISIVE else version
