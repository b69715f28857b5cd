"""The address of a cluster, and a check within seconds that a cluster answers there.

Ray itself retries an unreachable address for minutes, and reports a wrong token as a failed
connection. Importing this module does not import Ray.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

from balpoe.errors import UserError

LOCAL, AUTO = "local", "auto"
CONNECT_SECONDS = 5.0
RAY_CONNECT_SECONDS = 20.0
WRONG_TOKEN = (
    "the cluster does not accept this process's token, or the lack of one; set "
    "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN) as on its nodes"
)

_GIVE_HEAD = "give HOST:PORT of the cluster's head, as `ray start --head` prints it"
_NO_CLUSTER = f"answers, but not as the control store of a Ray cluster; {_GIVE_HEAD}"
_NO_TOKEN = (
    "RAY_AUTH_MODE is token, but there is no token here; set RAY_AUTH_TOKEN_PATH (or "
    "RAY_AUTH_TOKEN) as on the cluster's nodes"
)
# Parts of what Ray's client prints when it cannot connect.
_REFUSALS = {
    "InvalidAuthToken": WRONG_TOKEN,
    "Unauthenticated": WRONG_TOKEN,
    "RAY_AUTH_TOKEN": _NO_TOKEN,
    "no authentication token": _NO_TOKEN,
    "Failed to connect to GCS": _NO_CLUSTER,
}


def reachable_address(address: str) -> str:
    """Return `address` as HOST:PORT; `auto` is the cluster that runs on this host.

    Raises:
        UserError: it is not an address, or no cluster answers there that accepts this process's
            token.
    """
    host, port = _host_and_port(_local_address() if address == AUTO else address)
    _refuse_closed_port(host, port)
    _refuse_other_service(f"{host}:{port}")
    return f"{host}:{port}"


def _local_address() -> str:
    from balpoe.cluster.ray_private import local_address

    # Ray sets the variable for the processes of its jobs.
    found = os.environ.get("RAY_ADDRESS") or local_address()
    if not found:
        raise UserError(
            "--address auto: no Ray node runs on this host; start one with `ray start`, or give "
            "the address of the head"
        )
    return found


def _host_and_port(address: str) -> tuple[str, int]:
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"--address {address}: is the address of Ray's dashboard, which `balpoe submit` "
            f"takes; here {_GIVE_HEAD}"
        )
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isascii() or not port.isdigit():
        raise UserError(f"--address {address}: is not an address; {_GIVE_HEAD}, or auto or local")
    return host.strip("[]"), int(port)


def _refuse_closed_port(host: str, port: int) -> None:
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"--address {host}:{port}: {_reason(error, host)}") from error


def _reason(error: OSError | OverflowError, host: str) -> str:
    match error:
        case socket.gaierror():
            return f"the name {host} cannot be resolved ({error.strerror}); {_GIVE_HEAD}"
        case TimeoutError():
            return (
                f"does not answer within {CONNECT_SECONDS:g} seconds; check the address, the "
                f"network and its firewall"
            )
        case ConnectionRefusedError():
            return f"nothing listens there; start the cluster, or {_GIVE_HEAD}"
    return f"cannot be reached: {error}; {_GIVE_HEAD}"


def _refuse_other_service(address: str) -> None:
    """Connect to the control store in a subprocess; the first known line of its output decides."""
    from balpoe.cluster.ray_private import CONNECT

    with subprocess.Popen(
        [sys.executable, "-P", "-c", CONNECT, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as connecting:
        deadline = threading.Timer(RAY_CONNECT_SECONDS, connecting.kill)
        deadline.start()
        assert connecting.stdout is not None
        refusals = (
            _REFUSALS[part] for line in connecting.stdout for part in _REFUSALS if part in line
        )
        refusal = next(refusals, None)
        if refusal is not None:
            connecting.kill()
        status = connecting.wait()
        deadline.cancel()
    if refusal is not None or status != 0:
        raise UserError(f"--address {address}: {refusal or _NO_CLUSTER}")
