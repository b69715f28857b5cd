"""The first weights of networks that were made on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import chain
from typing import Literal

import torch
from torch import Tensor, nn

from balpoe.errors import UserError


def initialise_convolutions(
    layer: nn.Module, mode: Literal["fan_in", "fan_out"], generator: torch.Generator
) -> None:
    """Draw Kaiming normal Conv2d weights in the order of the modules, and reset BatchNorm2d."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()


def materialise(
    network: nn.Module, initialise: Callable[[torch.Generator], None], generator: torch.Generator
) -> None:
    """Move a network from the meta device to the CPU and call `initialise` with the generator.

    Raises:
        UserError: an element of a parameter or buffer was not set.
    """
    network.to_empty(device="cpu")
    state = generator.get_state()
    _mark(network, 0)
    initialise(generator)
    unset = _marked(network, 0)
    if unset:  # floats that are NaN, or integers that may have been set to the mark itself
        generator.set_state(state)
        _mark(network, 1)
        initialise(generator)
        again = _marked(network, 1)
        unset = {name: unset[name] & again[name] for name in unset.keys() & again.keys()}
    names = sorted(name for name, elements in unset.items() if elements.any())
    if names:
        raise UserError(
            f"model.backbone: uninitialised {', '.join(names)}: set every parameter and buffer "
            f"in `initialise` of the backbone"
        )


@torch.no_grad()
def _mark(network: nn.Module, which: int) -> None:
    """Fill all tensors with NaN, or with one of two marks where they hold no floats."""
    for tensor in _tensors(network).values():
        tensor.fill_(_mark_of(tensor.dtype, which))


def _marked(network: nn.Module, which: int) -> Mapping[str, Tensor]:
    """Return which elements have the mark, for the tensors that have any such element."""
    marked = {}
    for name, tensor in _tensors(network).items():
        is_number = tensor.is_floating_point() or tensor.is_complex()
        elements = tensor.isnan() if is_number else tensor == _mark_of(tensor.dtype, which)
        if elements.any():
            marked[name] = elements
    return marked


def _mark_of(dtype: torch.dtype, which: int) -> float:
    if dtype.is_floating_point or dtype.is_complex:
        return torch.nan
    if dtype == torch.bool:
        return which
    return (torch.iinfo(dtype).min, torch.iinfo(dtype).max)[which]


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return dict(chain(network.named_parameters(), network.named_buffers()))
