"""Reading of a YAML document from a file."""

from __future__ import annotations

from pathlib import Path

from balpoe.errors import ConfigurationError
from balpoe.files.document import Document
from balpoe.files.restricted_yaml import MOST_BYTES, read_yaml


def read_document(path: str | Path) -> Document:
    """Read the YAML document in a file.

    Raises:
        ConfigurationError: the file is unreadable, too large, not UTF-8 or not valid YAML of the
            restricted kind.
    """
    content = read_small_file(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        message = f"{path}:{line}: must be UTF-8 text, got the byte 0x{content[error.start]:02X}"
        raise ConfigurationError([message]) from error
    return read_yaml(text, str(path))


def read_small_file(path: str | Path) -> bytes:
    """Read a file of at most `MOST_BYTES`.

    Raises:
        ConfigurationError: the file is unreadable or too large.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError([f"{path}: cannot be read: {reason}"]) from error
    if len(content) > MOST_BYTES:
        raise ConfigurationError([f"{path}: must be at most {MOST_BYTES} bytes (1 MiB)"])
    return content
