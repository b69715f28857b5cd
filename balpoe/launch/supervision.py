"""A supervisor process that reports how a driver with Ray ended.

Ray aborts the driver from C++ when its control store dies, and the kernel may kill the driver for
memory. The supervisor imports no such library. The driver runs in a session of its own, so the
supervisor can kill the driver and all processes that Ray has started for it, and no others. Over a
socket the driver sends a final message before it exits and detects the death of the supervisor.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from balpoe.exit_status import INTERNAL_ERROR, SIGNALLED

CONTINUATION = "BALPOE_CONTINUATION"
"""The environment variable of the command that continues the study, unless it is this command."""

GRACE_SECONDS = 1.8
"""From a signal to exit at once until the final message of the driver."""
_EXIT_SECONDS = 0.2
"""From the final message of the driver until it is killed."""

_SOCKET = "BALPOE_LIFELINE"
_FINAL_MESSAGE = b"\n"
_FORWARDED = (signal.SIGINT, signal.SIGTERM)


def is_supervised() -> bool:
    """Return whether this process is a driver with a supervisor."""
    return _SOCKET in os.environ


def continuation() -> str:
    """Return the command that continues the study of this process."""
    return os.environ.get(CONTINUATION) or shlex.join(["balpoe", *sys.argv[1:]])


def supervise_this_command(*, grace_seconds: float = GRACE_SECONDS) -> int:
    """Run the command of this process again in a supervised driver; see `supervise`."""
    # -P: no file in the working directory shadows a module, as in the script `balpoe`
    command = [sys.executable, "-P", "-m", "balpoe.cli", *sys.argv[1:]]
    return supervise(command, continuation=continuation(), grace_seconds=grace_seconds)


def supervise(
    command: Sequence[str], *, continuation: str, grace_seconds: float = GRACE_SECONDS
) -> int:
    """Run `command` as a supervised driver.

    SIGINT and SIGTERM are forwarded to the driver. At the latest `grace_seconds` after SIGTERM, or
    after the second SIGINT, the driver and all its child processes are killed. If the driver dies
    without a final message, an error names the command `continuation`.

    Returns:
        The exit status of the driver, or 70 if it died without a final message.
    """
    return _Supervisor(command, continuation, grace_seconds).run()


@contextmanager
def supervised() -> Iterator[None]:
    """Send the final message when the block of the driver ends; SIGTERM if the supervisor dies."""
    supervisor = socket.socket(fileno=int(os.environ.pop(_SOCKET)))
    supervisor.set_inheritable(False)
    threading.Thread(target=_detect_death, args=(supervisor,), daemon=True).start()
    try:
        yield
    finally:
        with suppress(OSError):
            supervisor.send(_FINAL_MESSAGE)


def _detect_death(supervisor: socket.socket) -> None:
    with suppress(OSError):
        supervisor.recv(1)  # returns when the other end is closed
    os.kill(os.getpid(), signal.SIGTERM)


@dataclass(eq=False)
class _Supervisor:
    _command: Sequence[str]
    _continuation: str
    _grace_seconds: float
    _received: list[int] = field(default_factory=list)
    _driver: subprocess.Popen[bytes] | None = None
    _has_final_message: bool = False

    def run(self) -> int:
        # jobs of Ray inherit a blocked SIGINT, and `balpoe stop` would wait forever
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        before = {number: signal.signal(number, self._forward) for number in _FORWARDED}
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        self._socket, drivers_socket = socket.socketpair()
        with self._socket:
            with drivers_socket:
                self._driver = subprocess.Popen(
                    self._command,
                    env={**os.environ, _SOCKET: str(drivers_socket.fileno())},
                    pass_fds=[drivers_socket.fileno()],
                    start_new_session=True,
                )
            code = self._driver.wait()
            _kill_session(self._driver.pid)
            self._await_final_message(0.0)
            return self._exit_status(code)

    def _forward(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)
        if self._driver is None:
            sys.exit(SIGNALLED + number)
        self._driver.send_signal(number)
        if number == signal.SIGTERM or self._received.count(number) > 1:
            threading.Thread(
                target=self._kill_after_grace, args=(self._driver.pid,), daemon=True
            ).start()

    def _kill_after_grace(self, driver: int) -> None:
        """Kill the driver after its final message: it may still wait for processes of Ray."""
        self._await_final_message(self._grace_seconds)
        time.sleep(_EXIT_SECONDS)
        _kill_session(driver)

    def _await_final_message(self, seconds: float) -> None:
        if self._has_final_message:
            return
        self._socket.settimeout(seconds)
        with suppress(OSError):
            self._has_final_message = self._socket.recv(1) == _FINAL_MESSAGE

    def _exit_status(self, code: int) -> int:
        if self._has_final_message and code >= 0:
            return code
        if self._received:
            return SIGNALLED + self._received[-1]
        how = (
            f"ended with status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        )
        print(
            f"error: the driver died unexpectedly ({how}); recorded results are kept, "
            f"continue with: {self._continuation}",
            file=sys.stderr,
        )
        return INTERNAL_ERROR


def _kill_session(leader: int) -> None:
    """Kill the processes of the session `leader`; without /proc, those of its process group."""
    if not Path("/proc/self/stat").exists():
        with suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
        return
    for directory in Path("/proc").glob("[0-9]*"):
        # the process may have ended
        with suppress(OSError):
            *_, fields = (directory / "stat").read_text().rpartition(")")
            _state, _parent, _group, session, *_rest = fields.split()
            if int(session) == leader:
                os.kill(int(directory.name), signal.SIGKILL)
