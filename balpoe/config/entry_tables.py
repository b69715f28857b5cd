"""Tables of the things that people add: data sources, losses, mixers, samplers and others.

A table maps names to settings classes. An entry registers its settings class with `Table.add`.
A table finds the built-in entries in the modules of one package, and further ones through the
entry points of installed packages. Settings classes are imported whenever a study file is read,
so their modules must not import torch, Ray, Optuna or MLflow.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.metadata
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from balpoe.config.bounds import Bounded, required_fields
from balpoe.errors import UserError

Base = TypeVar("Base", bound="Entry")
Settings = TypeVar("Settings", bound="Entry")


class Entry(Bounded):
    """Base of settings that a file chooses by their `name`; abstract.

    A subclass narrows `name` to one literal, which is also its default:
    ``name: Literal["mixup"] = "mixup"``.
    """

    __slots__ = ()

    name: str


class Table(Generic[Base]):
    """The settings classes of one kind of entry, by name.

    Args:
        base: The base class of the settings; a field of this type is chosen from the table.
        package: The package whose modules and subpackages register the built-in entries.
        group: The group of entry points by which installed packages name further modules.
        may_require: Whether settings may have no default, so that a name alone does not suffice.
    """

    def __init__(
        self, base: type[Base], *, package: str, group: str, may_require: bool = False
    ) -> None:
        self._package = package
        self.group = group
        self._may_require = may_require
        self._entries: dict[str, type[Base]] = {}
        _TABLES[base] = self

    def add(self, settings: type[Settings]) -> type[Settings]:
        """Register a settings class; a decorator above that of the dataclass.

        Raises:
            TypeError: the class is no dataclass, or its name or another setting has no default.
            ValueError: another class is registered under its name.
        """
        fields: tuple[dataclasses.Field[Any], ...] = dataclasses.fields(settings)  # type: ignore[arg-type]  # the base is a dataclass
        [name] = (item.default for item in fields if item.name == "name")
        if not isinstance(name, str):
            raise TypeError(
                f"{settings.__qualname__}: needs a default for `name`; `add` stands above the "
                f"decorator of the dataclass"
            )
        required = required_fields(settings)
        if required and not self._may_require:
            raise TypeError(f"{settings.__qualname__}: needs a default for `{required[0]}`")
        known = self._entries.get(name, settings)
        # a module whose first import failed later on registers its classes again
        if (known.__module__, known.__qualname__) != (settings.__module__, settings.__qualname__):
            raise ValueError(f"{self.group}: two entries are called {name}")
        self._entries[name] = settings  # type: ignore[assignment]  # of the base of this table
        return settings

    @property
    def entries(self) -> Mapping[str, type]:
        """The settings classes by name, in alphabetical order of the names."""
        self._load()
        return dict(sorted(self._entries.items()))

    def __getitem__(self, name: str) -> Callable[..., Base]:
        self._load()
        return self._entries[name]

    def count(self) -> int:
        """Return the number of entries."""
        self._load()
        return len(self._entries)

    def _load(self) -> None:
        """Import all modules that register entries, at the first use of the table."""
        import_entries(self._package, group=self.group)


_TABLES: dict[type, Table[Any]] = {}


def load_object(import_string: str) -> Any:
    """Import the object that ``package.module:name`` names."""
    module, _, name = import_string.partition(":")
    return getattr(importlib.import_module(module), name)


@functools.cache
def import_entries(package: str, *, group: str) -> None:
    """Import the modules of `package`, and those named by the entry points of `group`, once.

    Raises:
        UserError: a module of an installed package cannot be imported.
    """
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
    for point in importlib.metadata.entry_points(group=group):
        try:
            point.load()
        except Exception as error:
            raise UserError(
                f"{point.value} (entry point {point.name} of {group}): cannot be imported: "
                f"{type(error).__name__}: {error}; repair or uninstall the package"
            ) from error


def table_of(base: Any) -> Table[Any] | None:
    """The table that a field of the type `base` is chosen from, or None for any other type."""
    return _TABLES.get(base) if isinstance(base, type) else None


def table_with(settings: Entry) -> Table[Any]:
    """The table from which `settings` were chosen."""
    return next(_TABLES[base] for base in type(settings).__mro__ if base in _TABLES)


def count_entries() -> int:
    """Return the number of entries in all tables: a key for caches that depend on them."""
    return sum(table.count() for table in tuple(_TABLES.values()))
