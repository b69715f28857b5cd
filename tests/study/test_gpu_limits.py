"""What a worker that shares a GPU may take of it: `pytest -m gpu` on a machine that has one."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from balpoe.study.execution.gpu_memory import CONTEXT_BYTES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

# each in a process of its own: limits and contexts are those of a process
BEYOND_ITS_PART = """
import torch
from balpoe.study.trials.failures import failure_of
from balpoe.study.execution.gpu_memory import memory_limit
from balpoe.training.memory import device_memory, limit_memory, total_memory
gpu = torch.device("cuda")
total = total_memory(gpu)
limit_memory(gpu, memory_limit(0.1, total))
torch.empty(total // 20, dtype=torch.uint8, device=gpu)
assert device_memory(gpu).reserved >= total // 20
try:
    torch.empty(total // 8, dtype=torch.uint8, device=gpu)
except torch.OutOfMemoryError as error:
    print(failure_of(error).kind)
"""
CONTEXT = """
import torch
gpu = torch.device("cuda")
images = torch.rand(64, 3, 224, 224, device=gpu, requires_grad=True)
convolution = torch.nn.Conv2d(3, 64, 7, device=gpu)
(convolution(images).flatten(1) @ torch.rand(64 * 218 * 218, 10, device=gpu)).sum().backward()
free, total = torch.cuda.mem_get_info(gpu)
print(total - free - torch.cuda.memory_reserved(gpu))
"""


def printed(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_process_that_exceeds_its_part_runs_out_of_memory_by_itself() -> None:
    assert printed(BEYOND_ITS_PART) == "resource"


def test_a_context_takes_no_more_than_is_counted_for_it() -> None:
    """On a GPU that nobody else uses."""
    assert int(printed(CONTEXT)) <= CONTEXT_BYTES
