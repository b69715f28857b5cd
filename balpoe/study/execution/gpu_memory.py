"""Which part of a GPU a trial asks for, by the memory that trials of its shape took.

The first trial of a shape measures it and has a whole GPU, unless what is known of other shapes
bounds its need. E experts, I images that go through the network at once, B images of a batch; what
else decides the memory is the shape's `kind`. Within a kind the memory is taken to be

    M(E, I, B) = c0 + c1 E + c2 I + c3 E I + c4 B,    no c negative,

(weights, gradients and momenta grow with E, activations with I, the images themselves with B), of
which follows, with a = max(1, E'/E) max(1, I'/I),

    M(E', I', B') <= max(a, B'/B) M(E, I, B):

each figure bounds the need of all others of its kind, and the smallest bound counts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice, Configuration, StudySpec, to_plain, with_parameters
from balpoe.errors import InvalidFields
from balpoe.training.memory import DeviceMemory

MARGIN: Final = 1.1
"""The allocator's luck: trials of one shape do not reserve the same to the byte."""
CONTEXT_BYTES: Final = 2**30
"""What a process takes beside its tensors: CUDA's context, the kernels of its libraries."""

# Ray counts in ten-thousandths, and rounds: seven times 0.1429 would be more than one GPU
_RAYS_PARTS = 10_000
_FORMAT = 1
_WITHOUT_WEIGHT: Final = {
    "experts": ("count", "spread", "centre", "lambdas"),
    "mixup": ("alpha",),
    "training": (
        *("batch_size", "accumulate", "epochs", "learning_rate", "momentum", "nesterov"),
        *("weight_decay", "schedule", "warmup", "milestones", "decay", "evaluate_every"),
    ),
}


@dataclass(frozen=True, slots=True)
class MemoryShape:
    """What decides the memory of a training; `kind` is all of it but the numbers, as JSON.

    `images` go through the network at once, one of the parts of a `batch`.
    """

    kind: str
    experts: int
    images: int
    batch: int

    @classmethod
    def of(cls, configuration: Configuration) -> MemoryShape:
        """The shape of a configuration; its data are those of its study."""
        plain = {name: value for name, value in to_plain(configuration).items() if name != "data"}
        for section, names in _WITHOUT_WEIGHT.items():
            for name in names:
                del plain[section][name]
        plain["mixup"]["mixes"] = configuration.mixup.alpha > 0
        training = configuration.training
        return cls(
            json.dumps(plain, sort_keys=True),
            configuration.experts.count,
            math.ceil(training.batch_size / training.accumulate),
            training.batch_size,
        )

    def growth_to(self, other: MemoryShape) -> float:
        """At most how many times the memory of this shape the other needs."""
        if other.kind != self.kind:
            return math.inf
        activations = max(1.0, other.experts / self.experts) * max(1.0, other.images / self.images)
        return max(activations, other.batch / self.batch)


Figures = Mapping[MemoryShape, DeviceMemory]
"""What was measured: the most that a training of each shape took."""


def memory_bound(shape: MemoryShape, figures: Figures) -> float:
    """The most bytes that a training of `shape` reserves; infinite where nothing bounds it.

    What was measured of the shape itself counts alone.
    """
    if shape in figures:
        return figures[shape].reserved
    bounds = (known.growth_to(shape) * memory.reserved for known, memory in figures.items())
    return min(bounds, default=math.inf)


def gpu_part(reserved: float, total: int) -> float:
    """The part of a GPU with `total` bytes for a process that reserves `reserved`.

    It holds the margin and the process's context, and is as large as lets as many such
    processes fit. The whole, where half is too little.
    """
    needed = (MARGIN * reserved + CONTEXT_BYTES) / total * _RAYS_PARTS
    if needed > _RAYS_PARTS / 2:
        return 1.0
    processes = _RAYS_PARTS // math.ceil(needed)
    return _RAYS_PARTS // processes / _RAYS_PARTS


def memory_limit(part: float, total: int) -> float:
    """The part of a GPU's memory that torch may reserve in a process that has `part` of it."""
    return 1.0 if part == 1 else part - CONTEXT_BYTES / total


class GpuMemory:
    """What the trials of a study took of their GPUs, kept in the file `path` between launches."""

    def __init__(self, spec: StudySpec, path: Path) -> None:
        self._spec = spec
        self._path = path
        self._figures = _read(path) if spec.resources.share_gpus else {}

    def gpus(self, parameters: Mapping[str, Choice], *, alone: bool) -> float:
        """How many GPUs a trial asks for; one that is to run `alone` never shares."""
        resources = self._spec.resources
        if alone or not self._figures:
            return resources.gpus_per_trial
        try:
            shape = self._shape(parameters)
        except InvalidFields:
            return resources.gpus_per_trial  # the worker says what is wrong with it
        total = min(memory.total for memory in self._figures.values())
        return gpu_part(memory_bound(shape, self._figures), total)

    def record(self, parameters: Mapping[str, Choice], memory: Mapping[str, Any]) -> None:
        """Keep what a trial took, where it is more than was known of its shape.

        Raises:
            StorageError: the file cannot be written.
        """
        shape, measured = self._shape(parameters), DeviceMemory(**memory)
        known = self._figures.get(shape)
        if known is None or measured.reserved > known.reserved:
            self._figures[shape] = measured
            _write(self._path, self._figures)

    def _shape(self, parameters: Mapping[str, Choice]) -> MemoryShape:
        return MemoryShape.of(with_parameters(self._spec.base, parameters))


def _read(path: Path) -> dict[MemoryShape, DeviceMemory]:
    """The figures of earlier launches; none from a file that is damaged or of another format."""
    try:
        content = json.loads(path.read_text())
        if content["format"] != _FORMAT:
            return {}
        return {
            MemoryShape(**entry["shape"]): DeviceMemory(**entry["memory"])
            for entry in content["figures"]
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def _write(path: Path, figures: Figures) -> None:
    entries = [
        {"shape": asdict(shape), "memory": asdict(memory)} for shape, memory in figures.items()
    ]
    write_text_atomically(path, json.dumps({"format": _FORMAT, "figures": entries}, indent=1))
