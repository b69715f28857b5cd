"""Weights that torchvision has trained, or that a file holds under torchvision's names.

They replace the drawn weights of every layer but the classifier; layers that experts own begin
alike in all of them.
"""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from balpoe.config.model import WEIGHT_NAMES
from balpoe.errors import UserError
from balpoe.models.experts import CLASSIFIER

_OWNER = re.compile(r"networks\.\d+\.(shared|experts\.\d+)\.")
_RENAMED = (("stem.conv.", "conv1."), ("stem.bn.", "bn1."), ("stage", "layer"))


def load_pretrained(experts: nn.Module, backbone: str, weights: str) -> None:
    """Start the experts of `build_experts` from `weights`, a name of torchvision's or a file.

    Raises:
        UserError: The weights cannot be had, or are of another network.
    """
    named = weights in WEIGHT_NAMES
    found = _downloaded(backbone, weights) if named else _read(Path(weights))
    with torch.no_grad():
        for name, tensor in experts.state_dict().items():
            theirs = torchvision_name(name)
            if theirs is not None:
                tensor.copy_(_fitting(found, theirs, tensor.shape, f"{weights} ({backbone})"))


def weights_identity(weights: str) -> str:
    """What weights are, wherever they lie: their name, or the sha256 of their file.

    Raises:
        UserError: The file cannot be read.
    """
    if weights in WEIGHT_NAMES:
        return weights
    with _reading(Path(weights)), open(weights, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def torchvision_name(name: str) -> str | None:
    """What torchvision calls a weight of an ensemble of experts; None for the classifier's."""
    local = _OWNER.sub("", name, count=1)
    if local.startswith(f"{CLASSIFIER}."):
        return None
    for ours, theirs in _RENAMED:
        if local.startswith(ours):
            return theirs + local.removeprefix(ours)
    return local


def _fitting(found: Mapping[str, Tensor], name: str, shape: torch.Size, place: str) -> Tensor:
    if name not in found:
        raise UserError(
            f"model.pretrained: {place} has no weights {name!r}: give weights of the backbone, "
            f"under the names that torchvision uses"
        )
    if found[name].shape != shape:
        raise UserError(
            f"model.pretrained: {place} has {name!r} of the shape {list(found[name].shape)}, "
            f"the network of {list(shape)}: the backbone or the images' channels differ"
        )
    return found[name]


def _downloaded(backbone: str, weights: str) -> Mapping[str, Tensor]:
    from torchvision.models import get_model_weights  # takes 1.5 s and 160 MiB

    try:
        found: Mapping[str, Tensor] = get_model_weights(backbone.removeprefix("imagenet_"))[
            weights
        ].get_state_dict(progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"model.pretrained: {weights} of {backbone} could not be downloaded ({error}): "
            f"fetch the file elsewhere and give its path"
        ) from error
    return found


def _read(path: Path) -> Mapping[str, Tensor]:
    with _reading(path):
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(found, Mapping) or not all(isinstance(t, Tensor) for t in found.values()):
        raise UserError(f"model.pretrained: {path} holds no state dict: save network.state_dict()")
    return found


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"model.pretrained: {path}: no such file") from error
    except (
        OSError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        safetensors.SafetensorError,
    ) as error:
        raise UserError(
            f"model.pretrained: {path} cannot be read ({error}): give the state dict of a "
            f"network, as torch.save or safetensors write it"
        ) from error
