"""What the displays of running work share: a live part of the screen, where there is a terminal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Generic, Self, TypeVar

from rich.console import Console
from rich.live import Live

News = TypeVar("News", contravariant=True)


class LiveDisplay(ABC, Generic[News]):
    """Shows news; to be called with them inside a ``with`` block.

    Where the console is no terminal there is no live part, and plain lines have to do.
    """

    def __init__(self, console: Console, live: Live) -> None:
        self._console = console
        self._live = live if console.is_terminal else None

    @abstractmethod
    def __call__(self, news: News) -> None:
        """Take the news in, and show them."""

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
