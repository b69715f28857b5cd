"""Records in JSON files: what is read, and what is refused with the file and a hint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from balpoe.errors import CorruptFile
from balpoe.json_record import parsed, read_record


@dataclass(frozen=True, slots=True)
class Author:
    name: str
    born: int | None = None


@dataclass(frozen=True, slots=True)
class Book:
    title: str
    price: float
    authors: tuple[Author, ...]
    parameters: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    state: Literal["NEW", "SOLD"] = "NEW"
    pages: Sequence[int] = ()
    anything: Any = None


BOOK = Book(
    "Sums", 3, (Author("Ada", 1815), Author("Bo")), {"a": 1, "b": True}, "SOLD", [1, 2], [{}]
)
SOUND: dict[str, Any] = asdict(BOOK)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "book.json"
    file.write_text(json.dumps(SOUND))
    book = read_record(file, Book, "restore it")
    assert book == BOOK
    assert type(book.price) is int
    assert [type(value) for value in book.parameters.values()] == [int, bool]


def test_a_field_with_a_default_may_be_missing() -> None:
    content = {"title": "Sums", "price": 1.5, "authors": []}
    assert parsed(content, Book) == Book("Sums", 1.5, ())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"title": 3}, "title must be str, got 3"),
        ({"price": True}, "price must be float, got True"),
        ({"price": None}, "price must be float, got None"),
        ({"authors": {}}, "authors must be .*tuple.*, got {}"),
        ({"authors": [{"name": "Ada", "born": "1815"}]}, "born must be int, got '1815'"),
        ({"authors": ["Ada"]}, r"authors\[0\] must be Author, got 'Ada'"),
        ({"authors": [{}]}, "name is missing"),
        (
            {"parameters": {"a": None}},
            r"parameters\.a must be bool \| int \| float \| str, got None",
        ),
        ({"state": "LENT"}, "state must be .*'NEW', 'SOLD'.*, got 'LENT'"),
        ({"pages": [1, 2.5]}, r"pages\[1\] must be int, got 2\.5"),
        ({"colour": "red"}, "colour is no known field"),
    ],
)
def test_a_wrong_field_is_named_with_the_file_and_the_hint(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    file = tmp_path / "book.json"
    file.write_text(json.dumps(SOUND | change))
    with pytest.raises(CorruptFile, match=rf"book\.json: damaged: {problem}; restore it$"):
        read_record(file, Book, "restore it")


@pytest.mark.parametrize("content", [b"", b"[]", b"3", b'{"title"', b"\xff", b"{}"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "book.json"
    file.write_bytes(content)
    with pytest.raises(CorruptFile, match=r"book\.json: damaged: .*; restore it$"):
        read_record(file, Book, "restore it")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        CorruptFile, match=r"book\.json: cannot be read: No such file.*; restore it$"
    ):
        read_record(tmp_path / "book.json", Book, "restore it")


@pytest.mark.parametrize("found", [3, "2", None])
def test_another_format_is_refused_before_its_fields_are_read(
    tmp_path: Path, found: object
) -> None:
    file = tmp_path / "book.json"
    file.write_text(json.dumps({"format": found, "other": 1}))
    with pytest.raises(CorruptFile, match=rf"has format {found}, but .* reads 2; use the version"):
        read_record(file, Book, "restore it", formats=(2, 1))
    file.write_text(json.dumps(SOUND))
    with pytest.raises(CorruptFile, match="damaged: format is missing; restore it"):
        read_record(file, Book, "restore it", formats=(2, 1))
    file.write_text(json.dumps({"format": 1, **SOUND}))
    assert read_record(file, Book, "restore it", formats=(2, 1)) == BOOK


def test_other_fields_are_ignored_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "author.json"
    file.write_text(json.dumps({"name": "Ada", "colour": "red"}))
    assert read_record(file, Author, "restore it", other_fields=True) == Author("Ada")
