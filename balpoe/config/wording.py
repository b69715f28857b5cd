"""Phrases for messages about values and names."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

NOUNS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "text",
}
"""Python types in the terms of a configuration file."""

_LONGEST = 60


def shortened(text: str) -> str:
    """Return `text`, cut to a length that fits a message."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def shown(value: Any) -> str:
    """Format a value as in a file: ``"text"``, ``true``, ``[1, 2]``."""
    return shortened(json.dumps(value, ensure_ascii=False, default=str))


def listed(words: Iterable[str]) -> str:
    """Return ``a, b or c``."""
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last


def must_be(expected: str, value: Any) -> str:
    """Return ``must be an integer, got "three"``."""
    return f"must be {expected}, got {shown(value)}"


def did_you_mean(word: str, candidates: Sequence[str]) -> str:
    """Return a suggestion to append to a message, or an empty string.

    A candidate is suggested if its spelling is similar or its last dotted part equals `word`.
    """
    near = difflib.get_close_matches(word, candidates, n=1) or [
        candidate for candidate in candidates if candidate.rpartition(".")[2] == word
    ]
    return f"; did you mean {near[0]}?" if near else ""


def unknown(
    what: str, word: str, candidates: Sequence[str], *, listed: Sequence[str] | None = None
) -> str:
    """Return ``unknown key; did you mean count?``, or list the known names if none is similar."""
    return f"unknown {what}" + (
        did_you_mean(word, candidates) or f"; known are {', '.join(listed or candidates)}"
    )
