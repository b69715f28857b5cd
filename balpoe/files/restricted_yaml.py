"""A restricted YAML: YAML 1.2 scalars, no aliases, anchors or tags, no repeated keys.

PyYAML follows YAML 1.1 and reads ``1e-4`` as text, ``no`` as false and ``017`` as 15; here
they are a number, text and text. Size and depth are limited, so that a hostile file exhausts
neither memory nor the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import yaml

from balpoe.errors import ConfigurationError
from balpoe.files.document import Document, Path, Problem

MOST_BYTES: Final = 2**20
MOST_LEVELS: Final = 20

_NULL, _BOOL, _INT, _FLOAT = (
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float")
)
_NUMBER: Final = r"[-+]?(?:0|[1-9][0-9]*)"
_SCALARS: Final = {
    _NULL: (r"~|null|Null|NULL|", "~nN\0"),
    _BOOL: (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    _INT: (r"[-+]?(?:0|[1-9][0-9]{0,17})", "-+0123456789"),
    _FLOAT: (
        rf"(?:{_NUMBER}\.[0-9]*|[-+]?\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
        rf"|{_NUMBER}[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
}
"""The pattern of a plain scalar of each type, and its possible first characters.

Integers fit 64 bits; longer ones are text, which no integer field accepts.
"""


class _RefusedError(Exception):
    """The document uses YAML that is not allowed and cannot be read."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """Composes nodes of the restricted language."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._level = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse anchors, aliases, tags and deep nesting, then compose as PyYAML does."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # stubs lack its type
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _RefusedError(line, "anchors (&) and aliases (*) are not allowed: write it out")
        if event.tag is not None:
            raise _RefusedError(line, "tags (!) are not allowed: remove it")
        if self._level == MOST_LEVELS:
            raise _RefusedError(line, f"is nested more than {MOST_LEVELS} levels deep")
        self._level += 1
        node = super().compose_node(parent, index)
        self._level -= 1
        return node


class Dumper(yaml.SafeDumper):
    """Writes text that this loader and ordinary YAML readers read back unchanged."""

    def represent_str(self, text: str) -> yaml.ScalarNode:
        """Quote text with line breaks: PyYAML folds some Unicode line breaks into spaces."""
        style = None if text.isprintable() else '"'
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


Dumper.add_representer(str, Dumper.represent_str)

for _tag, (_pattern, _first) in _SCALARS.items():
    _beginnings = [character.strip("\0") for character in _first]
    for _class in (_Loader, Dumper):
        _class.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _beginnings)


def read_yaml(text: str, place: str) -> Document:
    """Parse the document in `text`; `place` names it in messages.

    Raises:
        ConfigurationError: the text is not YAML of the restricted kind, or has no mapping at
            the top level.
    """
    try:
        node = _Loader(text).get_single_node()
    except _RefusedError as error:
        _refuse(place, error.line, str(error))
    except yaml.reader.ReaderError as error:
        line, character = text.count("\n", 0, error.position) + 1, ord(text[error.position])
        _refuse(place, line, f"holds the character U+{character:04X}: remove it")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _refuse(place, mark.line + 1 if mark else 1, f"is not valid YAML: {error.problem}")
    if node is None:
        _refuse(place, 1, "is empty")
    if not isinstance(node, yaml.MappingNode):
        kind = "list" if isinstance(node, yaml.SequenceNode) else "single value"
        _refuse(place, node.start_mark.line + 1, f"must be keys with values, not a {kind}")
    reader = _Reader()
    content = reader.value(node, ())
    return Document(place, content, {(): 1, **reader.lines}, tuple(reader.problems))


def _refuse(place: str, line: int, message: str) -> NoReturn:
    raise ConfigurationError([f"{place}:{line}: {message}"])


class _Reader:
    """Converts nodes to plain data and collects the lines of keys and all problems."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []

    def value(self, node: yaml.Node, path: Path) -> Any:
        """Convert a node to plain data."""
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [
                self._noted(item, (*path, index), item) for index, item in enumerate(node.value)
            ]
        return self._scalar(node, path)

    def _noted(self, node: yaml.Node, path: Path, first: yaml.Node) -> Any:
        """Convert a node and record the line of `first`, which is its key or the node itself."""
        self.lines[path] = first.start_mark.line + 1
        return self.value(node, path)

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, Any]]:
        """Yield keys, which are always text, with their values."""
        for key_node, value_node in node.value:
            line, inside = key_node.start_mark.line + 1, (*path, key_node.value)
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(path, f"has a key in line {line} that is not text"))
            elif inside in self.lines:
                self.problems.append(Problem(inside, f"is given again in line {line}: keep one"))
            else:
                self._check_text(key_node.value, path)
                yield key_node.value, self._noted(value_node, inside, key_node)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        text = node.value
        if node.tag == _NULL:
            return None
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _INT:
            return int(text)
        if node.tag == _FLOAT:
            return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        self._check_text(text, path)
        return text

    def _check_text(self, text: str, path: Path) -> None:
        """Refuse characters that YAML can escape, but paths and UTF-8 cannot hold."""
        if re.search("[\0\ud800-\udfff]", text):
            self.problems.append(Problem(path, r"must not hold \0 or half a surrogate pair"))
