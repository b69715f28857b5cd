"""Pages in headless Chromium: their DOM, the errors on their console, and a screenshot."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CONSOLE = re.compile(r'INFO:CONSOLE:\d+\] "(.*?)", source: (\S*)', re.DOTALL)
_ERRORS = ("Uncaught", "Failed to load", "Refused to", "Error")
_LONGEST_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Page:
    """A page after its scripts have run.

    Attributes:
        dom: The HTML of the document.
        console: All messages on the console.
        screenshot: A PNG file, or None if none was requested.
    """

    dom: str
    console: tuple[str, ...]
    screenshot: Path | None = None

    @property
    def errors(self) -> tuple[str, ...]:
        """The messages of uncaught exceptions and of resources that were not loaded.

        Chromium prints messages without their level: a `console.error` is one only if its text
        says so.
        """
        return tuple(message for message in self.console if message.startswith(_ERRORS))


def opened_page(
    address: str | Path,
    *,
    screenshot: Path | None = None,
    width: int = 1280,
    height: int = 900,
    seconds: float = 5.0,
    is_dark: bool = False,
) -> Page:
    """Open a URL or a file, and return the page; skip the test if Chromium is missing.

    Args:
        address: The URL, or the path of an HTML file.
        screenshot: Where the picture of the window is written.
        width: The width of the window in CSS pixels; Chromium has at least 500.
        height: The height of the window; a page is not scrolled.
        seconds: The virtual time for scripts and requests; waiting costs no real time.
        is_dark: Whether the system prefers dark pages.
    """
    url = address.resolve().as_uri() if isinstance(address, Path) else address
    with tempfile.TemporaryDirectory(prefix="chromium_", ignore_cleanup_errors=True) as profile:
        command = [
            *chromium_command(Path(profile), width=width, height=height),
            "--enable-logging=stderr",
            f"--virtual-time-budget={round(1000 * seconds)}",
            *(["--blink-settings=preferredColorScheme=0"] if is_dark else []),
            *([f"--screenshot={screenshot}"] if screenshot else []),
            *("--dump-dom", url),
        ]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=True
        )
    messages = tuple(match[1] for match in _CONSOLE.finditer(ended.stderr))
    return Page(ended.stdout, messages, screenshot)


def chromium_command(profile: Path, *, width: int, height: int) -> list[str]:
    """Return the command of headless Chromium; skip the test if Chromium is missing."""
    program = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("Chromium is missing (apt-get install chromium)")
    return [
        program,
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
        *("--no-first-run", "--hide-scrollbars"),
        f"--user-data-dir={profile}",
        f"--window-size={width},{height}",
    ]
