"""The device of the option `--device`."""

from __future__ import annotations

import torch

from balpoe.errors import UserError


def choose_device(name: str | None) -> torch.device:
    """Return the named device; without a name a GPU if there is one, else the CPU.

    Raises:
        UserError: the device is not available.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name}: not available here ({reason}); use cpu") from error
    return device
