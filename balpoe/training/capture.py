"""An epoch's steps as replays of a CUDA graph.

The launch of some hundred small kernels a step costs more than the kernels of a CIFAR network
themselves; a captured step is launched at once. The graph reads the epoch's draws from
buffers that stay in place and counts its own steps on the device, so that a replay needs
nothing from the host.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from balpoe.training.draws import Draws

Step = Callable[[Sequence[Draws], Tensor], None]
WARM_UP_STEPS = 3  # kernels choose their algorithms and workspaces before capture


class CapturedSteps:
    """The captured step for one batch size.

    `state` are all tensors that a step changes: capturing takes a few steps for practice,
    after which they are put back.
    """

    def __init__(self, step: Step, draws: Sequence[Draws], state: Sequence[Tensor]) -> None:
        device = draws[0].order_sb.device
        self._draws = tuple(
            Draws(*(tensor.clone() for tensor in drawn.tensors())) for drawn in draws
        )
        self._index = torch.zeros(1, dtype=torch.int64, device=device)
        before = [tensor.detach().clone() for tensor in state]
        self._practise(step)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step(self._draws, self._index)
            self._index += 1
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)

    def run(self, draws: Sequence[Draws], bring: Callable[[], None]) -> None:
        """Take all the steps of `draws`: as many as were given at the start, or fewer.

        `bring` is called before each.
        """
        for own, drawn in zip(self._draws, draws, strict=True):
            for buffer, tensor in zip(own.tensors(), drawn.tensors(), strict=True):
                buffer[: drawn.steps].copy_(tensor)
        self._index.zero_()
        for _ in range(draws[0].steps):
            bring()
            self._graph.replay()

    def _practise(self, step: Step) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                step(self._draws, self._index)
        torch.cuda.current_stream().wait_stream(stream)
