"""The base class of displays of running work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

from rich.console import Console
from rich.live import Live

News = TypeVar("News", contravariant=True)


class LiveDisplay(ABC, Generic[News]):
    """A context manager that is called with news and shows them.

    `_live` is None if the console is no terminal; subclasses then print plain lines.
    """

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live if console.is_terminal else None

    @abstractmethod
    def __call__(self, news: News) -> None:
        """Show the news."""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
