"""The benchmark's bound of memory traffic, counted by hand on a small network."""

from __future__ import annotations

import torch
from torch import nn

from balpoe.models.classifiers import LinearClassifier
from tests.benchmarks.bytes_floor import step_bytes


def test_every_output_counts_five_times_and_every_weight_eight() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, kernel_size=3, padding=1, bias=False),  # 36 weights, 4·6·6 outputs
        nn.ReLU(),
        nn.AvgPool2d(6),
        nn.Flatten(),
        LinearClassifier(4, 3),  # 12 weights and 3 biases, 3 outputs
    )
    images_bdhw = torch.zeros(2, 1, 6, 6)
    activations = 2 * (5 * (4 * 36 + 3) + 36) * 2
    weights = 8 * 4 * (36 + 12 + 3)
    assert step_bytes(network, images_bdhw, activation_bytes=2) == activations + weights
