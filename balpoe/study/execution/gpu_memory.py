"""The fraction of a GPU that a trial requests, from the memory that trials of its shape used.

The first trial of a shape gets a whole GPU and measures its memory, unless measurements of other
shapes bound it. E experts, I images per forward pass, B images per batch; all other settings that
affect the memory are the `kind` of a shape. Within a kind the memory is modelled as

    M(E, I, B) = c0 + c1 E + c2 I + c3 E I + c4 B,    no c negative,

(weights, gradients and momenta grow with E, activations with I, the images themselves with B). It
follows, with a = max(1, E'/E) max(1, I'/I), that

    M(E', I', B') <= max(a, B'/B) M(E, I, B).

So each measurement bounds the memory of all shapes of its kind; the smallest bound is used.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice, Configuration, StudySpec, to_plain, with_parameters
from balpoe.errors import CorruptFile, InvalidFields
from balpoe.json_record import read_record
from balpoe.training.memory import DeviceMemory

MARGIN: Final = 1.1
"""Trials of one shape do not reserve exactly the same memory."""
CONTEXT_BYTES: Final = 2**30
"""The memory of a process beside its tensors: the CUDA context and kernels of libraries."""

# Ray rounds fractions to ten-thousandths: seven times 0.1429 would exceed one GPU
_RAY_UNITS = 10_000
_FORMAT = 1
_IRRELEVANT_FIELDS: Final = {
    "experts": ("count", "spread", "centre", "lambdas"),
    "mixup": ("alpha",),
    "training": (
        *("batch_size", "accumulate", "epochs", "learning_rate", "momentum", "nesterov"),
        *("weight_decay", "schedule", "warmup", "milestones", "decay", "evaluate_every"),
    ),
}


@dataclass(frozen=True, slots=True)
class MemoryShape:
    """The settings that determine the memory of a training.

    `images` is the number of images per forward pass, a part of a `batch`. `kind` holds all other
    settings as JSON.
    """

    kind: str
    experts: int
    images: int
    batch: int

    @classmethod
    def of(cls, configuration: Configuration) -> MemoryShape:
        """Return the shape of a configuration; all configurations of a study have the same data."""
        plain = {name: value for name, value in to_plain(configuration).items() if name != "data"}
        for section, names in _IRRELEVANT_FIELDS.items():
            for name in names:
                del plain[section][name]
        plain["mixup"]["mixes"] = configuration.mixes
        training = configuration.training
        return cls(
            json.dumps(plain, sort_keys=True),
            configuration.experts.count,
            math.ceil(training.batch_size / training.accumulate),
            training.batch_size,
        )

    def growth_to(self, other: MemoryShape) -> float:
        """Return the largest possible ratio of the other shape's memory to this one's."""
        if other.kind != self.kind:
            return math.inf
        activations = max(1.0, other.experts / self.experts) * max(1.0, other.images / self.images)
        return max(activations, other.batch / self.batch)


Measurements = Mapping[MemoryShape, DeviceMemory]
"""The largest memory that a training of each shape used."""


@dataclass(frozen=True, slots=True)
class _Figure:
    shape: MemoryShape
    memory: DeviceMemory


@dataclass(frozen=True, slots=True)
class _MemoryFile:
    """The content of the file of measurements."""

    figures: tuple[_Figure, ...]


def memory_bound(shape: MemoryShape, measurements: Measurements) -> float:
    """Return an upper bound of the bytes that a training of `shape` reserves, or infinity.

    A measurement of the shape itself takes precedence over all others.
    """
    if shape in measurements:
        return measurements[shape].reserved
    bounds = (known.growth_to(shape) * memory.reserved for known, memory in measurements.items())
    return min(bounds, default=math.inf)


def gpu_part(reserved: float, total: int) -> float:
    """Return the fraction of a GPU with `total` bytes for a process that reserves `reserved` bytes.

    It includes the margin and the CUDA context, and is the largest with which the same number of
    such processes fit. It is 1 if half a GPU is too small.
    """
    needed = (MARGIN * reserved + CONTEXT_BYTES) / total * _RAY_UNITS
    if needed > _RAY_UNITS / 2:
        return 1.0
    processes = _RAY_UNITS // math.ceil(needed)
    return _RAY_UNITS // processes / _RAY_UNITS


def memory_limit(part: float, total: int) -> float:
    """Return the fraction of the memory that torch may reserve with `part` of a GPU."""
    return 1.0 if part == 1 else part - CONTEXT_BYTES / total


class GpuMemory:
    """The measured GPU memory of a study's trials, stored in the file `path`."""

    def __init__(self, spec: StudySpec, path: Path) -> None:
        self._spec = spec
        self._path = path
        self._measurements = _read(path) if spec.resources.share_gpus else {}

    def gpus(self, parameters: Mapping[str, Choice], *, exclusive: bool) -> float:
        """Return how many GPUs a trial requests; an `exclusive` one never shares a GPU."""
        if self._measurements and not exclusive:
            # the worker reports parameters that cannot be combined
            with suppress(InvalidFields):
                bound = memory_bound(self._shape(parameters), self._measurements)
                return gpu_part(bound, min(m.total for m in self._measurements.values()))
        return self._spec.resources.gpus_per_trial

    def record(self, parameters: Mapping[str, Choice], memory: Mapping[str, Any]) -> None:
        """Store the memory that a trial used if it is the largest of its shape.

        Raises:
            StorageError: the file cannot be written.
        """
        shape, measured = self._shape(parameters), DeviceMemory(**memory)
        known = self._measurements.get(shape)
        if known is None or measured.reserved > known.reserved:
            self._measurements[shape] = measured
            figures = tuple(_Figure(*item) for item in self._measurements.items())
            content = {"format": _FORMAT, **asdict(_MemoryFile(figures))}
            write_text_atomically(self._path, json.dumps(content, indent=1))

    def _shape(self, parameters: Mapping[str, Choice]) -> MemoryShape:
        return MemoryShape.of(with_parameters(self._spec.base, parameters))


def _read(path: Path) -> dict[MemoryShape, DeviceMemory]:
    """Return the measurements of earlier launches; none if the file is missing or damaged."""
    with suppress(CorruptFile):
        content = read_record(path, _MemoryFile, "delete it", formats=(_FORMAT,))
        return {entry.shape: entry.memory for entry in content.figures}
    return {}
