"""The address of a cluster: what the user gave, and whether anyone answers there.

Ray itself tries a dead address for minutes, and reports a wrong token as a failed connection.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading

from balpoe.errors import UserError
from balpoe.study.execution.ray_internals import CONNECT_TO_CONTROL_STORE, address_on_this_host

LOCAL, AUTO = "local", "auto"
CONNECT_SECONDS = 5.0
KNOCK_SECONDS = 20.0

_CONTROL_STORE = "give HOST:PORT of the cluster's head, as `ray start --head` told it"
_NO_CLUSTER = f"answers, but not as the control store of a Ray cluster; {_CONTROL_STORE}"
_WRONG_TOKEN = (
    "the cluster does not take this process's token, or the lack of one; set RAY_AUTH_MODE=token "
    "and RAY_AUTH_TOKEN_PATH (or RAY_AUTH_TOKEN) as on its nodes"
)
_NO_TOKEN = (
    "RAY_AUTH_MODE is token, but there is no token here; set RAY_AUTH_TOKEN_PATH (or "
    "RAY_AUTH_TOKEN) as on the cluster's nodes"
)
_REFUSALS = {
    "InvalidAuthToken": _WRONG_TOKEN,
    "Unauthenticated": _WRONG_TOKEN,
    "RAY_AUTH_TOKEN": _NO_TOKEN,
    "no authentication token": _NO_TOKEN,
    "Failed to connect to GCS": _NO_CLUSTER,
}
"""What Ray's client says where it is not let in, and what that means."""


def reachable_address(address: str) -> str:
    """`address` as HOST:PORT; `auto` stands for the cluster that runs on this host.

    Raises:
        UserError: it is no address, or no cluster answers there that takes this process's token.
    """
    found = _found_here() if address == AUTO else address
    host, port = _host_and_port(found)
    _refuse_closed_port(host, port)
    _refuse_stranger(f"{host}:{port}")
    return f"{host}:{port}"


def _found_here() -> str:
    """The cluster that this process's job belongs to, or that this host's node does."""
    found = os.environ.get("RAY_ADDRESS") or address_on_this_host()
    if not found:
        raise UserError(
            "--address auto: no Ray node runs on this host; start one with `ray start`, or give "
            "the address of the head"
        )
    return found


def _host_and_port(address: str) -> tuple[str, int]:
    if address.startswith(("http://", "https://")):
        raise UserError(
            f"--address {address}: is the address of Ray's dashboard; `balpoe submit` hands a "
            f"study over there, here {_CONTROL_STORE}"
        )
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isascii() or not port.isdigit():
        raise UserError(f"--address {address}: is no address; {_CONTROL_STORE}, or auto or local")
    return host.strip("[]"), int(port)


def _refuse_closed_port(host: str, port: int) -> None:
    place = f"--address {host}:{port}"
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except socket.gaierror as error:
        raise UserError(
            f"{place}: the name {host} cannot be resolved ({error.strerror}); {_CONTROL_STORE}"
        ) from error
    except TimeoutError as error:
        raise UserError(
            f"{place}: does not answer within {CONNECT_SECONDS:g} seconds; check the address, "
            f"the network and its firewall"
        ) from error
    except ConnectionRefusedError as error:
        raise UserError(
            f"{place}: nothing listens there; start the cluster, or {_CONTROL_STORE}"
        ) from error
    except (OSError, OverflowError) as error:
        raise UserError(f"{place}: cannot be reached: {error}; {_CONTROL_STORE}") from error


def _refuse_stranger(address: str) -> None:
    """Knock at the control store from another process.

    Ray would try a wrong token for twenty seconds, and abort the process where there is none. Why
    it is not let in it says on stderr only; the first such line is enough.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CONNECT_TO_CONTROL_STORE, address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as knocking:
        deadline = threading.Timer(KNOCK_SECONDS, knocking.kill)
        deadline.start()
        assert knocking.stdout is not None
        refusals = (
            _REFUSALS[word] for line in knocking.stdout for word in _REFUSALS if word in line
        )
        refusal = next(refusals, None)
        if refusal is not None:
            knocking.kill()
        status = knocking.wait()
        deadline.cancel()
    if refusal is not None or status != 0:
        raise UserError(f"--address {address}: {refusal or _NO_CLUSTER}")
