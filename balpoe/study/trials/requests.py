"""Requests to the driver of a study, as files that it looks for about once a second.

Only the driver writes the storage of a study. A request is a file in the directory of the study;
the driver executes it, deletes it and writes an answer beside it. A request that no driver takes
waits for the next launch.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from balpoe.atomic_write import create_directory, write_text_atomically
from balpoe.config import Choice
from balpoe.errors import CorruptFile
from balpoe.json_record import read_record

FORMAT = 1
_HINT = "delete it"
_REQUEST, _ANSWER = ".request.json", ".answer.json"
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request: to stop the trial `trial`, or to try the point `point` next.

    `point` holds fields of the configuration by dotted path.
    """

    kind: Literal["stop trial", "try"]
    trial: int | None = None
    point: Mapping[str, Choice] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the driver did about a request; `refused` requests had no effect."""

    refused: bool
    message: str


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A request in its file."""

    path: Path
    request: Request

    @property
    def name(self) -> str:
        """The name that no other request has."""
        return self.path.name.removesuffix(_REQUEST)

    @property
    def answer_path(self) -> Path:
        """The file of the answer."""
        return self.path.with_name(f"{self.name}{_ANSWER}")

    def answer(self, answer: Answer) -> None:
        """Write the answer.

        Raises:
            StorageError: it cannot be written.
        """
        content = {"format": FORMAT, **asdict(answer)}
        write_text_atomically(self.answer_path, json.dumps(content) + "\n")

    def delete(self) -> None:
        """Delete the request."""
        self.path.unlink(missing_ok=True)

    def taken_answer(self) -> Answer | None:
        """Return the answer and delete it; None while there is none.

        Raises:
            CorruptFile: the answer is damaged.
        """
        if not self.answer_path.is_file():
            return None
        answer = read_record(self.answer_path, Answer, _HINT, formats=(FORMAT,))
        self.answer_path.unlink(missing_ok=True)
        return answer


def write_request(directory: Path, request: Request) -> PendingRequest:
    """Write a request to the directory of requests.

    Raises:
        StorageError: it cannot be written.
    """
    create_directory(directory)
    path = directory / f"{secrets.token_hex(8)}{_REQUEST}"
    write_text_atomically(path, json.dumps({"format": FORMAT, **asdict(request)}) + "\n")
    return PendingRequest(path, request)


def pending_requests(directory: Path) -> Iterator[PendingRequest | CorruptFile]:
    """Yield the requests in the order of their times, and an error for a damaged one."""
    for path in sorted(directory.glob(f"*{_REQUEST}"), key=_modified):
        try:
            yield PendingRequest(path, read_record(path, Request, _HINT, formats=(FORMAT,)))
        except CorruptFile as error:
            yield error


def delete_old_answers(directory: Path) -> None:
    """Delete the answers that no command has taken within a minute."""
    for path in directory.glob(f"*{_ANSWER}"):
        if time.time() - _modified(path) > _ANSWER_SECONDS:
            path.unlink(missing_ok=True)


def _modified(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
