"""Study and configuration files: read strictly, written completely."""

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
