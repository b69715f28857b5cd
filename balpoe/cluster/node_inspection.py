"""The part of the preflight that runs on each node of the cluster.

Ray sends this module, `balpoe.study.execution.software` and `balpoe.study.storage.host` by value,
because the node may lack balpoe or have another version of it. Until the versions are compared,
only the standard library is used, and the result is plain data.
"""

from __future__ import annotations

import dataclasses
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
    """The result of an inspection; reading it does not need balpoe."""

    host: dict[str, str]
    software: dict[str, str]
    faults: list[str]
    sizes: dict[str, int]
    time: float


def inspect_node(
    drivers: Software, probe: str, token: str, gpus: int, pickled_configuration: bytes
) -> NodeAnswer:
    """Write `token` to the file `probe`, and check whether this node can run trials.

    Args:
        drivers: The software of the driver.
        probe: A file in the study's directory, or an object there: `s3://…`.
        token: The content to write.
        gpus: The number of GPUs that Ray counts on this node; 0 if trials need none.
        pickled_configuration: The configuration whose data and weights must be on this node.

    Returns:
        The node's host and software, its faults, the sizes of the data files, and the Unix time
        of the call by its own clock.
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
    return {
        "host": dataclasses.asdict(this_host()),
        "software": found,
        "faults": faults,
        "sizes": sizes,
        "time": now,
    }


def _storage_faults(probe: Path, token: str) -> list[str]:
    # The directory is not created: if it is missing, storage is not shared.
    try:
        probe.write_text(token)
    except OSError as error:
        hint = f"the study's directory {MUST_BE_SHARED}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some space on the disk"
        return [f"{probe.parent}: cannot be written there: {error.strerror}; {hint}"]
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
    if not gpus:
        return []
    # In a subprocess without the variable by which Ray hides the GPUs from this task.
    visible = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    counted = subprocess.run(
        [sys.executable, "-P", "-c", _COUNT_DEVICES],
        env=visible,
        capture_output=True,
        text=True,
        timeout=_IMPORT_SECONDS,
        check=False,
    )
    seen = int(counted.stdout) if counted.returncode == 0 else 0
    if seen >= gpus:
        return []
    return [
        f"Ray counts {gpus} GPUs there, but torch sees {seen}; install the driver and a build of "
        f"torch for it, or start the node with --num-gpus {seen}"
    ]
