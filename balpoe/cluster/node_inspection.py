"""What a node of the cluster says of itself: the part of the preflight that runs there.

This module, `balpoe.study.execution.software` and `balpoe.study.storage.host` are sent by value,
because balpoe may be missing on the node or have another version. Until that is known, only the
standard library is used, and the result is plain data.
"""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

from balpoe.study.execution.software import CODE, Software, software
from balpoe.study.storage.host import MUST_BE_SHARED, this_host

_COUNT_DEVICES = "import torch; print(torch.cuda.device_count())"
_IMPORT_SECONDS = 60.0


class NodeAnswer(TypedDict):
    """What a node answers: nothing that needs balpoe to be read."""

    host: dict[str, str]
    software: dict[str, str]
    faults: list[str]
    sizes: dict[str, int]
    time: float


def inspect_node(
    drivers: Software, probe: str, token: str, gpus: int, pickled_configuration: bytes
) -> NodeAnswer:
    """Write `token` to the file `probe`, and look whether this node could run trials.

    Args:
        drivers: The software of the driver.
        probe: A file in the study's directory, or an object there: `s3://…`.
        token: What to write there.
        gpus: How many GPUs Ray counts here; 0 where trials need none.
        pickled_configuration: Whose data and weights must be here.

    Returns:
        Its host and software, its faults, the sizes of the data's files, and when it was asked,
        in Unix seconds by its own clock.
    """
    now = time.time()
    found = software()
    is_remote = "://" in probe
    faults = [] if is_remote else _storage_faults(Path(probe), token)
    sizes: dict[str, int] = {}
    if found[CODE] == drivers[CODE]:
        from balpoe.data.required_files import needed_sizes
        from balpoe.errors import UserError

        if is_remote:
            faults += _store_faults(probe, token)
        faults += _device_faults(gpus)
        try:
            sizes = needed_sizes(pickle.loads(pickled_configuration))
        except UserError as error:
            faults.append(str(error))
    host = this_host()
    return {
        "host": {"name": host.name, "boot": host.boot},
        "software": found,
        "faults": faults,
        "sizes": sizes,
        "time": now,
    }


def _storage_faults(probe: Path, token: str) -> list[str]:
    """The directory is never created: where it is missing, storage is not shared."""
    try:
        probe.write_text(token)
    except OSError as error:
        cure = f"the study's directory {MUST_BE_SHARED}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            cure = "free some space on the disk"
        return [f"{probe.parent}: cannot be written there: {error.strerror}; {cure}"]
    return []


def _store_faults(probe: str, token: str) -> list[str]:
    from balpoe.errors import UserError
    from balpoe.study.object_store.remote_directory import RemoteDirectory

    url, _, name = probe.rpartition("/")
    directory = RemoteDirectory(url)
    try:
        directory.ensure_reachable()
        directory.write(name, token.encode())
    except UserError as error:
        return [str(error)]
    return []


def _device_faults(gpus: int) -> list[str]:
    """Asked in a process of its own: Ray hides the GPUs from one that asked it for none."""
    if not gpus:
        return []
    shown = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    asked = subprocess.run(
        [sys.executable, "-P", "-c", _COUNT_DEVICES],
        env=shown,
        capture_output=True,
        text=True,
        timeout=_IMPORT_SECONDS,
        check=False,
    )
    seen = int(asked.stdout) if asked.returncode == 0 else 0
    if seen >= gpus:
        return []
    return [
        f"Ray counts {gpus} GPUs there, but torch sees {seen}; install the driver and a build of "
        f"torch for it, or start the node with --num-gpus {seen}"
    ]
