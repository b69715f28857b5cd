"""The memory of a training, and its limit on a GPU."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import torch

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """The total memory of a GPU, and the peak that torch reserved for this process; in bytes."""

    device: str
    total: int
    reserved: int


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory so far: allocated on a GPU, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def device_memory(device: torch.device) -> DeviceMemory:
    """Return the memory of a GPU, with the peak since `limit_memory`."""
    return DeviceMemory(
        device=torch.cuda.get_device_name(device),
        total=total_memory(device),
        reserved=torch.cuda.max_memory_reserved(device),
    )


def total_memory(device: torch.device) -> int:
    """Return the total memory of a GPU, in bytes."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def limit_memory(device: torch.device, part: float) -> None:
    """Limit torch to the fraction `part` of a GPU's memory, and reset the peak."""
    torch.cuda.set_per_process_memory_fraction(part, device)
    torch.cuda.reset_peak_memory_stats(device)
