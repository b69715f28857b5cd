"""The words in which problems with values and names are put, the same wherever they arise."""

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
"""What a field of a Python type holds, as the author of a file knows it."""

_LONGEST = 60


def shortened(text: str) -> str:
    """`text` itself, or its beginning where it would drown a message."""
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def shown(value: Any) -> str:
    """A value as it could stand in a file: ``"text"``, ``true``, ``[1, 2]``."""
    return shortened(json.dumps(value, ensure_ascii=False, default=str))


def listed(words: Iterable[str]) -> str:
    """``a, b or c``."""
    *rest, last = words
    return f"{', '.join(rest)} or {last}" if rest else last


def must_be(expected: str, value: Any) -> str:
    """``must be an integer, got "three"``."""
    return f"must be {expected}, got {shown(value)}"


def did_you_mean(word: str, candidates: Sequence[str]) -> str:
    """A suggestion to append to a message, or nothing where no candidate is near.

    Near is a similar spelling, or a dotted candidate whose last part is `word`.
    """
    near = difflib.get_close_matches(word, candidates, n=1) or [
        candidate for candidate in candidates if candidate.rpartition(".")[2] == word
    ]
    return f"; did you mean {near[0]}?" if near else ""


def unknown(
    what: str, word: str, candidates: Sequence[str], *, listed: Sequence[str] | None = None
) -> str:
    """``unknown key; did you mean count?``, or what is known (`listed`) where nothing is near."""
    return f"unknown {what}" + (
        did_you_mean(word, candidates) or f"; known are {', '.join(listed or candidates)}"
    )
