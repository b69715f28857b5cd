"""Steps of an epoch as replays of a CUDA graph.

Launching the hundreds of small kernels of a step takes longer than the kernels of a CIFAR network
run; a captured step is one launch. The graph reads the draws of the epoch from buffers at fixed
addresses and counts its steps on the device, so that a replay needs no data from the host.
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

    `state` are all tensors that a step changes: they are restored after the warm-up steps that
    precede the capture.
    """

    def __init__(self, step: Step, draws: Sequence[Draws], state: Sequence[Tensor]) -> None:
        device = draws[0].order_sb.device
        self._draws = tuple(
            Draws(*(tensor.clone() for tensor in drawn.tensors())) for drawn in draws
        )
        self._index = torch.zeros(1, dtype=torch.int64, device=device)
        before = [tensor.detach().clone() for tensor in state]
        self._warm_up(step)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step(self._draws, self._index)
            self._index += 1
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)

    def run(self, draws: Sequence[Draws], load_images: Callable[[], None]) -> None:
        """Take the steps of `draws`: at most as many as those that were captured.

        `load_images` is called before each.
        """
        for captured, drawn in zip(self._draws, draws, strict=True):
            for buffer, tensor in zip(captured.tensors(), drawn.tensors(), strict=True):
                buffer[: drawn.steps].copy_(tensor)
        self._index.zero_()
        for _ in range(draws[0].steps):
            load_images()
            self._graph.replay()

    def _warm_up(self, step: Step) -> None:
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                step(self._draws, self._index)
        torch.cuda.current_stream().wait_stream(stream)
