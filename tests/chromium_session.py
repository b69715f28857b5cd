"""A tab of headless Chromium in which a test clicks, through the DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.chromium import chromium_command

_START_SECONDS = 60.0
_POLL_SECONDS = 0.2


class Tab:
    """A tab; its methods wait in real time."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._sent = 0

    async def open(self, url: str) -> None:
        """Load a page; its scripts go on running."""
        await self._call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression of JavaScript in the page."""
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def wait_for(self, condition: str, seconds: float = 90.0) -> Any:
        """Return the value of an expression once it is true."""
        deadline = time.monotonic() + seconds
        while not (value := await self.evaluate(condition)):
            assert time.monotonic() < deadline, f"not true after {seconds:.0f} s: {condition}"
            await asyncio.sleep(_POLL_SECONDS)
        return value

    async def screenshot(self, file: Path) -> None:
        """Write a picture of the window."""
        answer = await self._call("Page.captureScreenshot")
        file.write_bytes(base64.b64decode(answer["data"]))

    async def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        while True:
            answer = json.loads(await self._socket.receive_str())
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result


@asynccontextmanager
async def opened_tab(*, width: int = 1600, height: int = 1000) -> AsyncIterator[Tab]:
    """Start Chromium with a new profile and open a tab; skip the test if Chromium is missing."""
    profile = Path(tempfile.mkdtemp(prefix="chromium_"))
    command = [
        *chromium_command(profile, width=width, height=height),
        "--remote-debugging-port=0",
        "about:blank",
    ]
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=null, stderr=null)
    try:
        port = await _port(profile)
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                [page, *_] = [each for each in await answer.json() if each["type"] == "page"]
            address = page["webSocketDebuggerUrl"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                yield Tab(socket)
    finally:
        process.terminate()
        await process.wait()
        shutil.rmtree(profile, ignore_errors=True)


async def _port(profile: Path) -> int:
    """Return the port that Chromium has chosen, once it has written it."""
    file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_SECONDS
    while not (file.is_file() and file.read_text().strip()):
        assert time.monotonic() < deadline, "Chromium does not start"
        await asyncio.sleep(_POLL_SECONDS)
    return int(file.read_text().split()[0])
