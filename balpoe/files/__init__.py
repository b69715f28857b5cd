"""Strict reading and complete writing of study and configuration files."""

from balpoe.files.configurations import (
    configuration_from_plain,
    dump_configuration,
    dump_study,
    load_configuration,
    load_study,
)

__all__ = [
    "configuration_from_plain",
    "dump_configuration",
    "dump_study",
    "load_configuration",
    "load_study",
]
