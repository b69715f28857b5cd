"""Strict reading and complete writing of study and configuration files."""

from balpoe.files.configurations import (
    configuration_from_plain,
    dump_configuration,
    dump_study,
    load_configuration,
    load_study,
)
from balpoe.files.cost_file import cost_place

__all__ = [
    "configuration_from_plain",
    "cost_place",
    "dump_configuration",
    "dump_study",
    "load_configuration",
    "load_study",
]
