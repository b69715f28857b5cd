"""Reading and writing of configuration and study files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from balpoe.config import Configuration, StudySpec, to_plain
from balpoe.files.cost_file import read_costs
from balpoe.files.document import Document
from balpoe.files.reading import read_document
from balpoe.files.restricted_yaml import Dumper
from balpoe.files.schema import fields_in_file
from balpoe.files.validation import validated


def load_configuration(path: str | Path) -> Configuration:
    """Read the configuration in a YAML file.

    Raises:
        ConfigurationError: every problem with its file, line, field and value.
    """
    return validated(_with_costs_read(read_document(path)), Configuration)


def load_study(path: str | Path) -> StudySpec:
    """Read the study in a YAML file; the keys of its base configuration are at the top level.

    Raises:
        ConfigurationError: every problem with its file, line, field and value.
    """
    return validated(_with_costs_read(read_document(path)), StudySpec)


def _with_costs_read(document: Document) -> Document:
    """Replace the path of a CSV file under `cost` by its numbers."""
    content = document.content
    if not isinstance(content.get("cost"), str):
        return document
    costs = to_plain(read_costs(Path(content["cost"])))
    return replace(document, content={**content, "cost": costs})


def configuration_from_plain(plain: Any, place: str) -> Configuration:
    """Invert `balpoe.config.to_plain`; `place` names the origin of the data in messages.

    Raises:
        ConfigurationError: every problem with its place, field and value.
    """
    return validated(Document(place, plain), Configuration)


def dump_configuration(configuration: Configuration) -> str:
    """Write a configuration as YAML that `load_configuration` reads back to an equal object."""
    return _dumped(to_plain(configuration))


def dump_study(study: StudySpec) -> str:
    """Write a study as YAML that `load_study` reads back to an equal object."""
    plain = to_plain(study)
    merged = plain | plain.pop("base")
    return _dumped({name: merged[name] for name in fields_in_file(StudySpec) if name in merged})


def _dumped(plain: Mapping[str, Any]) -> str:
    return yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=True)
