"""A small parent for a driver that needs Ray, which outlives it and says how it ended.

Ray ends the driver's process from C++ when its control store dies, and the kernel may end it for
memory: neither leaves the driver time for a word. The parent loads nothing that could die so.

The driver leads a session of its own, in which stays all that Ray starts for it: so the parent
can end that, and nothing else. A socket joins the two. Through it the driver takes its leave
before it ends, and learns of its parent's death.
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
from pathlib import Path
from types import FrameType

from balpoe.exit_status import INTERNAL_ERROR, SIGNALLED

CONTINUATION = "BALPOE_CONTINUATION"
"""Names the command that continues a study, where that is another than this process was given."""

GRACE_SECONDS, LAST_WORD_SECONDS = 1.8, 0.2
"""From a signal that asks to leave at once to the driver's leave, and from that to its end."""

_LIFELINE = "BALPOE_LIFELINE"
_FAREWELL = b"\n"
_FORWARDED = (signal.SIGINT, signal.SIGTERM)


def is_supervised() -> bool:
    """Whether this process is a driver that `supervise` started."""
    return _LIFELINE in os.environ


def continuation() -> str:
    """The command that continues the study which this process was called to run."""
    return os.environ.get(CONTINUATION) or shlex.join(["balpoe", *sys.argv[1:]])


def supervise_this_command(*, grace_seconds: float = GRACE_SECONDS) -> int:
    """Run what this process was called to do in a supervised driver: see `supervise`."""
    # -P: as for the script `balpoe`, what lies in the working directory shadows no module
    command = [sys.executable, "-P", "-m", "balpoe.cli", *sys.argv[1:]]
    return supervise(command, continuation=continuation(), grace_seconds=grace_seconds)


def supervise(
    command: Sequence[str], *, continuation: str, grace_seconds: float = GRACE_SECONDS
) -> int:
    """Run `command` as a supervised driver; `continuation` is named where it dies without a word.

    SIGINT and SIGTERM are passed on to it; `grace_seconds` after SIGTERM, or after the second
    SIGINT, it is killed with all that it started.

    Returns:
        The exit status: its own, or 70 where it died without taking its leave.
    """
    return _Supervisor(command, continuation, grace_seconds).run()


@contextmanager
def supervised() -> Iterator[None]:
    """The life of a supervised driver, however it ends; SIGTERM when its parent dies."""
    lifeline = socket.socket(fileno=int(os.environ.pop(_LIFELINE)))
    lifeline.set_inheritable(False)
    threading.Thread(target=_follow_parent, args=(lifeline,), daemon=True).start()
    try:
        yield
    finally:
        with suppress(OSError):
            lifeline.send(_FAREWELL)


def _follow_parent(lifeline: socket.socket) -> None:
    with suppress(OSError):
        lifeline.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


class _Supervisor:
    def __init__(self, command: Sequence[str], continuation: str, grace_seconds: float) -> None:
        self._command = command
        self._continuation = continuation
        self._grace_seconds = grace_seconds
        self._received: list[int] = []
        self._driver: subprocess.Popen[bytes] | None = None
        self._took_leave = False

    def run(self) -> int:
        # a job of Ray's inherits a blocked SIGINT, and `balpoe stop` would wait for ever
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        before = {number: signal.signal(number, self._pass_on) for number in _FORWARDED}
        try:
            return self._run()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        self._lifeline, theirs = socket.socketpair()
        with self._lifeline:
            with theirs:
                self._driver = subprocess.Popen(
                    self._command,
                    env={**os.environ, _LIFELINE: str(theirs.fileno())},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            code = self._driver.wait()
            _kill_session(self._driver.pid)
            self._await_farewell(0.0)
            return self._status(code)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        self._received.append(number)
        if self._driver is None:
            sys.exit(SIGNALLED + number)
        self._driver.send_signal(number)
        if number == signal.SIGTERM or self._received.count(number) > 1:
            threading.Thread(target=self._hasten, args=(self._driver.pid,), daemon=True).start()

    def _hasten(self, driver: int) -> None:
        """Kill the driver once it has taken its leave: it may still wait for Ray's processes."""
        self._await_farewell(self._grace_seconds)
        time.sleep(LAST_WORD_SECONDS)
        _kill_session(driver)

    def _await_farewell(self, seconds: float) -> None:
        if self._took_leave:
            return
        self._lifeline.settimeout(seconds)
        with suppress(OSError):
            self._took_leave = self._lifeline.recv(1) == _FAREWELL

    def _status(self, code: int) -> int:
        if self._took_leave and code >= 0:
            return code
        if self._received:
            return SIGNALLED + self._received[-1]
        how = (
            f"ended with status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
        )
        print(
            f"error: the driver died without a word ({how}); what was recorded is kept, "
            f"continue with: {self._continuation}",
            file=sys.stderr,
        )
        return INTERNAL_ERROR


def _kill_session(leader: int) -> None:
    """Kill the processes of the session `leader`; where there is no /proc, of its group."""
    if not Path("/proc/self/stat").exists():
        with suppress(OSError):
            os.killpg(leader, signal.SIGKILL)
        return
    for directory in Path("/proc").glob("[0-9]*"):
        # a process may end while it is looked at
        with suppress(OSError):
            *_, fields = (directory / "stat").read_text().rpartition(")")
            _state, _parent, _group, session, *_rest = fields.split()
            if int(session) == leader:
                os.kill(int(directory.name), signal.SIGKILL)
