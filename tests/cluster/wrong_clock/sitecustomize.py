"""Sets the clock of every Python process that has this folder on its PYTHONPATH.

It is as many seconds ahead of the right one as the file WRONG_CLOCK says, at any moment anew;
the monotonic clock is left alone, as it is on a host whose clock is set. Debian's libfaketime
0.9.10 cannot do that: with its FAKETIME_DONT_FAKE_MONOTONIC, `time.sleep` of Python 3.11 fails
with EINVAL, and no node of Ray comes up.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

_right, _ahead = time.time_ns, Path(os.environ["WRONG_CLOCK"])


def _wrong() -> int:
    return _right() + int(float(_ahead.read_text()) * 1e9)


time.time_ns = _wrong
time.time = lambda: _wrong() / 1e9
