"""Pretrained weights of backbones, by name or from files.

They replace the drawn weights of every layer but the classifier; layers that experts own start
equal in all experts.
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

from balpoe.config.model import BackboneFamily, family_of, is_weights_file
from balpoe.errors import UserError
from balpoe.models.experts import CLASSIFIER

_OWNER = re.compile(r"networks\.\d+\.(shared|experts\.\d+)\.")


def load_pretrained(experts: nn.Module, backbone: str, weights: str) -> None:
    """Set the experts of `build_experts` to `weights`, a name that the backbone has or a file.

    Raises:
        UserError: the weights cannot be read or downloaded, or do not fit the network.
    """
    family = family_of(backbone)
    assert family is not None
    if is_weights_file(weights):
        found = _read(Path(weights))
    else:
        found = _downloaded(family, backbone, weights)
    with torch.no_grad():
        for name, tensor in experts.state_dict().items():
            stored = pretrained_name(family, name)
            if stored is not None:
                tensor.copy_(_fitting(found, stored, tensor.shape, f"{weights} ({backbone})"))


def weights_identity(weights: str) -> str:
    """Return what identifies weights wherever they are stored: a name, or the sha256 of a file.

    Raises:
        UserError: the file cannot be read.
    """
    if not is_weights_file(weights):
        return weights
    with _reading(Path(weights)), open(weights, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def pretrained_name(family: BackboneFamily, name: str) -> str | None:
    """Return the stored name of a tensor of an ensemble of experts; None for the classifier's."""
    local = _OWNER.sub("", name, count=1)
    return None if local.startswith(f"{CLASSIFIER}.") else family.pretrained_name(local)


def _fitting(found: Mapping[str, Tensor], name: str, shape: torch.Size, place: str) -> Tensor:
    if name not in found:
        raise UserError(
            f"model.pretrained: {place} has no weights {name!r}: give weights of the backbone, "
            f"under the names of its family"
        )
    if found[name].shape != shape:
        raise UserError(
            f"model.pretrained: {place} has {name!r} of the shape {list(found[name].shape)}, "
            f"the network of {list(shape)}: the backbone or the images' channels differ"
        )
    return found[name]


def _downloaded(family: BackboneFamily, backbone: str, weights: str) -> Mapping[str, Tensor]:
    try:
        return family.download(backbone, weights)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"model.pretrained: {weights} of {backbone} could not be downloaded ({error}): "
            f"fetch the file elsewhere and give its path"
        ) from error


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
