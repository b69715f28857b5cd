"""The training loop that people write: the yardstick of the engine's benchmark.

A DataLoader with four workers, torchvision's crop, flip and rotation on PIL images, float32,
the default memory format. Network, loss, optimiser and schedule are those of the engine.

B batch, E experts, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from balpoe.config import Configuration
from balpoe.data import SearchSplits
from balpoe.training.loss_context import configured_lambdas
from balpoe.training.optimisation import initial_experts
from balpoe.training.schedule import learning_rates

WORKERS = 4


class PILImages(Dataset[tuple[Tensor, int]]):
    """The training images as PIL images that go through torchvision's transforms."""

    def __init__(self, splits: SearchSplits, configuration: Configuration) -> None:
        augmentation = configuration.training.augmentation
        height, width = splits.description.height, splits.description.width
        normalisation = splits.description.normalisation
        self._images = splits.train.images_nhwd.numpy()
        self._labels = splits.train.labels_n.tolist()
        self._transform = transforms.Compose(
            [
                transforms.ToPILImage(),
                transforms.RandomCrop((height, width), padding=augmentation.crop_padding),
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(augmentation.rotation_degrees),
                transforms.ToTensor(),
                transforms.Normalize(normalisation.mean, normalisation.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(self._images[index]), self._labels[index]


def ordinary_epochs(
    configuration: Configuration, splits: SearchSplits, *, seed: int, device: torch.device
) -> Iterator[tuple[float, float]]:
    """Train, and yield the mean loss and the seconds of each epoch."""
    torch.manual_seed(seed)
    training = configuration.training
    network = initial_experts(configuration, splits.description, seed)
    network = network.to(device, memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=training.learning_rate,
        momentum=training.momentum,
        nesterov=training.nesterov,
        weight_decay=training.weight_decay,
    )
    counts = np.array(splits.description.class_counts)
    log_prior = torch.tensor(np.log(counts / counts.sum()), dtype=torch.float32, device=device)
    loader = DataLoader(
        PILImages(splits, configuration),
        batch_size=training.batch_size,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )
    lambdas = configured_lambdas(configuration)
    mixing = torch.distributions.Beta(configuration.mixup.alpha, configuration.mixup.alpha)
    for rate in learning_rates(training)[: training.epochs]:
        optimiser.param_groups[0]["lr"] = rate
        started, loss_sum = time.perf_counter(), 0.0
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            share = float(mixing.sample())
            partner = torch.randperm(len(labels), device=device)
            logits_bec = network(share * images + (1 - share) * images[partner])
            loss = torch.zeros((), device=device)
            for expert, lam in enumerate(lambdas):
                adjusted_bc = logits_bec[:, expert] + (1 - lam) * log_prior
                loss = loss + share * functional.cross_entropy(adjusted_bc, labels)
                loss = loss + (1 - share) * functional.cross_entropy(adjusted_bc, labels[partner])
            loss = loss / len(lambdas)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            loss_sum += loss.item() * len(labels)
        yield loss_sum / len(splits.train), time.perf_counter() - started
