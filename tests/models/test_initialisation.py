"""Networks with a tensor that the backbone leaves uninitialised are refused; the error names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from balpoe.config import ExpertsConfig, ModelConfig
from balpoe.config.model import BACKBONES, BackboneFamily, BackboneLayers
from balpoe.errors import UserError
from balpoe.models.experts import build_experts
from balpoe.models.initialisation import initialise_convolutions, materialise
from balpoe.models.pooling import GlobalAveragePool

Initialise = Callable[[torch.Generator], None]


def on_meta(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return nn.ModuleDict({"first": nn.Conv2d(1, 2, 1, bias=False), "second": make()})


def with_buffer(buffer: Tensor) -> nn.Module:
    module = nn.Module()
    module.register_buffer("positions", buffer)
    return module


MODULES: list[tuple[Callable[[], nn.Module], str]] = [
    (partial(nn.LayerNorm, 4), "second.bias, second.weight"),
    (partial(nn.Linear, 4, 3), "second.bias, second.weight"),
    (partial(nn.Embedding, 5, 4), "second.weight"),
    (partial(nn.Conv2d, 2, 3, 1), "second.bias"),
    (lambda: with_buffer(torch.arange(4)), "second.positions"),
    (lambda: with_buffer(torch.zeros(4, dtype=torch.uint8)), "second.positions"),
    (lambda: with_buffer(torch.zeros(2, dtype=torch.bool)), "second.positions"),
    (lambda: with_buffer(torch.zeros(2, dtype=torch.bfloat16)), "second.positions"),
    (lambda: with_buffer(torch.zeros(2, dtype=torch.complex64)), "second.positions"),
]


@pytest.mark.parametrize(("make", "names"), MODULES)
def test_tensors_that_nothing_sets_are_named(make: Callable[[], nn.Module], names: str) -> None:
    network = on_meta(make)
    with pytest.raises(UserError, match=rf"uninitialised {names}: set every parameter and buffer"):
        materialise(network, partial(initialise_convolutions, network, "fan_in"), generator())


@pytest.mark.parametrize("make", [make for make, _ in MODULES])
@pytest.mark.parametrize("value", [0, 1])
def test_tensors_that_are_set_are_taken_whatever_their_value(
    make: Callable[[], nn.Module], value: float
) -> None:
    network = on_meta(make)

    def initialise(_: torch.Generator) -> None:
        with torch.no_grad():
            for tensor in (*network.parameters(), *network.buffers()):
                tensor.fill_(value)

    materialise(network, initialise, generator())
    assert all((tensor == value).all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("extreme", [torch.iinfo(torch.int64).min, torch.iinfo(torch.int64).max])
def test_integers_may_have_any_value(extreme: int) -> None:
    network = on_meta(lambda: with_buffer(torch.arange(4)))

    def initialise(generator: torch.Generator) -> None:
        initialise_convolutions(network, "fan_in", generator)
        network.get_buffer("second.positions").copy_(torch.tensor([0, extreme, 7, extreme]))

    materialise(network, initialise, generator())


def test_a_tensor_that_is_set_in_part_is_named() -> None:
    network = on_meta(partial(nn.Embedding, 5, 4))

    def initialise(generator: torch.Generator) -> None:
        initialise_convolutions(network, "fan_in", generator)
        with torch.no_grad():
            network.get_parameter("second.weight")[1:] = 0

    with pytest.raises(UserError, match=r"uninitialised second\.weight:"):
        materialise(network, initialise, generator())


def test_the_weights_are_those_of_one_call_where_the_check_calls_twice() -> None:
    once = on_meta(nn.Identity)
    twice = on_meta(lambda: with_buffer(torch.zeros((), dtype=torch.int64)))
    materialise(once, partial(initialise_convolutions, once, "fan_in"), generator())
    calls = []

    def initialise(generator: torch.Generator) -> None:
        calls.append(generator)
        twice.get_buffer("second.positions").fill_(torch.iinfo(torch.int64).min)
        initialise_convolutions(twice, "fan_in", generator)

    materialise(twice, initialise, generator())
    assert len(calls) == 2
    assert torch.equal(once.get_parameter("first.weight"), twice.get_parameter("first.weight"))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalised(BackboneFamily):
    """One convolution per stage, with a LayerNorm that is initialised if `is_complete`."""

    name: Literal["normalised"] = "normalised"
    is_complete: bool = True
    names = ("normalised", "incomplete")

    def layers(self, backbone: str, channels: int) -> BackboneLayers:
        def stage() -> nn.Module:
            return nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.LayerNorm([4, 8, 8]))

        return BackboneLayers(
            partial(nn.Conv2d, channels, 4, 1, bias=False), [stage] * 3, GlobalAveragePool, 4
        )

    def initialise(self, layer: nn.Module, generator: torch.Generator) -> None:
        initialise_convolutions(layer, "fan_in", generator)
        for module in layer.modules():
            if isinstance(module, nn.LayerNorm) and self.is_complete:
                module.reset_parameters()


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[BackboneFamily]], None]:
    """Add a family to the table for one test."""

    def add(family: type[BackboneFamily]) -> None:
        entries = {**BACKBONES.entries, "normalised": family}
        monkeypatch.setattr(BACKBONES, "_entries", entries)

    return add


def build(classes: int = 3) -> nn.Module:
    return build_experts(
        ModelConfig(backbone="normalised"),
        ExpertsConfig(count=2),
        channels=1,
        classes=classes,
        generators=[generator()],
    )


def test_a_backbone_brings_its_own_layers_and_initialisation(
    register: Callable[[type[BackboneFamily]], None],
) -> None:
    register(Normalised)
    network = build()
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 2, 3)
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete(Normalised):
    is_complete: bool = False


def test_experts_whose_backbone_leaves_a_tensor_unset_are_refused(
    register: Callable[[type[BackboneFamily]], None],
) -> None:
    register(Incomplete)
    expected = r"model\.backbone: uninitialised experts\.0\.stage2\.1\.bias, .*shared\.stage1\.1\.w"
    with pytest.raises(UserError, match=expected):
        build()
