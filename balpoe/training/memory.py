"""How much memory a training took."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

import torch

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """All of a GPU's memory, and the most that torch took of it for this process; bytes."""

    device: str
    total: int
    reserved: int


def peak_memory_mib(device: torch.device) -> float:
    """The most memory in use so far: allocated on a GPU, or resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / _MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def device_memory(device: torch.device) -> DeviceMemory:
    """The memory of a GPU, its peak counted since `limit_memory`."""
    return DeviceMemory(
        device=torch.cuda.get_device_name(device),
        total=total_memory(device),
        reserved=torch.cuda.max_memory_reserved(device),
    )


def total_memory(device: torch.device) -> int:
    """All of a GPU's memory, in bytes."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def limit_memory(device: torch.device, part: float) -> None:
    """Let torch take `part` of a GPU's memory and no more from now on, and count its peak anew."""
    torch.cuda.set_per_process_memory_fraction(part, device)
    torch.cuda.reset_peak_memory_stats(device)
