"""The estimated class frequencies against known ones, before (plain EM) and after.

    uv run python -m tests.benchmarks.prior_estimation --data ../shared/data --logits runs/logits

Trains what is missing in `--logits` (an hour on one core) and prints a table: the accuracy without
adjustment, for the training frequencies, the known ones, those of plain EM (Saerens et al. 2002)
and those of `balpoe.evaluation.prior_estimation`. The held-out predictions are those of the same
model; with `--other-seed` those of the model of the next seed, to show what that costs. The rule
was fixed on other data: `gaussian_lt` and CIFAR-10 with seeds from 100 on, with test images from
their training splits, and a part of RetinaMNIST's training split.

N images, E experts, C classes.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from balpoe.config import (
    AugmentationConfig,
    Configuration,
    DataSource,
    ExpertsConfig,
    ModelConfig,
    TrainingConfig,
)
from balpoe.data import load_final_splits, load_search_splits
from balpoe.data.sources.gaussian_lt import GaussianLT
from balpoe.data.sources.parquet import ParquetImages
from balpoe.evaluation.distributions import distributions
from balpoe.evaluation.prior_estimation import HeldOut, estimate_prior, thinning
from balpoe.method.priors import adjust_to_prior, class_prior, target_prior
from balpoe.training.loss_context import configured_lambdas
from balpoe.training.training import Training

EXPERTS = {"ce": ExpertsConfig(count=1, lambdas=(1.0,)), "balpoe": ExpertsConfig(count=3)}
SHOWN = ("test", "forward_10", "backward_10", "forward_50", "backward_50")


@dataclass(frozen=True, slots=True)
class Setting:
    """A data set and the length of its training; the backbone is `resnet8`."""

    name: str
    epochs: int
    seeds: int
    source: Callable[[Path, int], DataSource]
    augmentation: AugmentationConfig


def retinamnist(data: Path, seed: int) -> ParquetImages:
    """A natural set; its test images have the frequencies of its training images."""
    folder = data / "retinamnist"
    train, validation, test = (str(folder / f"{n}.parquet") for n in ("train", "val", "test"))
    return ParquetImages(train=train, test=test, validation=validation)


def cifar10(data: Path, seed: int) -> ParquetImages:
    """CIFAR-10 with 2,000 to 40 training images a class, and 100 held-out images of each."""
    return ParquetImages(
        train=str(data / "cifar10_jpeg_train.parquet"),
        test=str(data / "cifar10_jpeg_test.parquet"),
        imbalance_ratio=50,
        head_count=2000,
        validation_per_class=100,
        subset_seed=seed,
    )


def gaussian_lt(data: Path, seed: int) -> GaussianLT:
    """Images whose P(x|y) is known, with other prototypes for every seed."""
    return GaussianLT(subset_seed=seed)


SETTINGS = (
    Setting("retina", 10, 5, retinamnist, AugmentationConfig(flip=True)),
    Setting("retina", 50, 5, retinamnist, AugmentationConfig(flip=True)),
    Setting("gauss", 20, 8, gaussian_lt, AugmentationConfig()),
    Setting("cifar", 15, 5, cifar10, AugmentationConfig(crop_padding=4, flip=True)),
)


@dataclass(frozen=True, eq=False, slots=True)
class Stored:
    """The logits [N, C] of the product for held-out and test images, with labels and priors."""

    held_out: HeldOut
    test_nc: Tensor
    labels_n: Tensor
    class_counts: tuple[int, ...]
    class_prior_c: Tensor
    trained_prior_c: Tensor


def file_of(logits: Path, setting: Setting, experts: str, seed: int) -> Path:
    """The file of a training."""
    return logits / f"{setting.name}_{experts}_{setting.epochs}_{seed}.npz"


def train(file: Path, setting: Setting, experts: str, seed: int, data: Path) -> None:
    """Train the search split, and store the logits of the validation and the test images."""
    source = setting.source(data, seed)
    search, test = load_search_splits(source), load_final_splits(source).test
    configuration = Configuration(
        data=source,
        model=ModelConfig(backbone="resnet8"),
        experts=EXPERTS[experts],
        training=TrainingConfig(
            epochs=setting.epochs, augmentation=setting.augmentation, evaluate_every=setting.epochs
        ),
    )
    training = Training(
        configuration,
        train=search.train,
        description=search.description,
        seed=seed,
        device=torch.device("cpu"),
    )
    for _ in training.fit():
        pass
    known = {}
    if search.validation.log_likelihood_nc is not None and test.log_likelihood_nc is not None:
        known["val_ll"] = search.validation.log_likelihood_nc.numpy()
        known["test_ll"] = test.log_likelihood_nc.numpy()
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        file,
        val=training.predict(search.validation).numpy(),
        val_y=search.validation.labels_n.numpy(),
        test=training.predict(test).numpy(),
        test_y=test.labels_n.numpy(),
        counts=np.array(search.description.class_counts),
        lambdas=np.array(configured_lambdas(training.configuration)),
        **known,  # type: ignore[arg-type]
    )


def read(file: Path) -> Stored:
    """Read the logits of a training."""
    with np.load(file) as arrays:
        found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    counts = tuple(found["counts"].tolist())
    prior_c = class_prior(counts)
    trained_c = target_prior(prior_c, float(found["lambdas"].mean()))
    held_out = HeldOut(found["val"].mean(dim=1), found["val_y"])
    return Stored(held_out, found["test"].mean(dim=1), found["test_y"], counts, prior_c, trained_c)


def plain_em(logits_nc: Tensor, trained_prior_c: Tensor) -> Tensor:
    """The most likely frequencies [C] (Saerens et al. 2002, eq. 2.9), as `estimate` gave before."""
    uniform_c = torch.full_like(trained_prior_c, 1 / len(trained_prior_c))
    scores_nc = adjust_to_prior(
        logits_nc.double(), trained_prior_c=trained_prior_c, test_prior_c=uniform_c
    )
    likelihoods_nc = scores_nc.softmax(dim=-1)
    prior_c = uniform_c
    for _ in range(1000):
        gradient_c = (likelihoods_nc @ prior_c).reciprocal() @ likelihoods_nc / len(logits_nc)
        if float(gradient_c.max()) - 1 <= 1e-5:
            break
        prior_c = prior_c * gradient_c
        prior_c = prior_c / prior_c.sum()
    return prior_c


def accuracies(stored: Stored, held_out: HeldOut) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the accuracies on the shown distributions, in percent, for every prior."""
    for found in distributions(stored.labels_n, stored.class_counts):
        if found.name not in SHOWN or found.class_weights_c is not None:
            continue
        logits_nc, labels_n = stored.test_nc[found.indices_b], stored.labels_n[found.indices_b]
        known_c = torch.bincount(labels_n, minlength=len(stored.class_counts)) / len(labels_n)
        estimate = estimate_prior(
            logits_nc[:: thinning(*logits_nc.shape)],
            held_out,
            trained_prior_c=stored.trained_prior_c,
            class_prior_c=stored.class_prior_c,
        )
        priors = {
            "none": stored.trained_prior_c,
            "train": stored.class_prior_c,
            "known": known_c,
            "EM": plain_em(logits_nc, stored.trained_prior_c),
            "estimate": estimate.prior_c,
        }
        row = {name: _accuracy(logits_nc, labels_n, stored, q_c) for name, q_c in priors.items()}
        inside_c = (estimate.low_c <= known_c) & (known_c <= estimate.high_c)
        yield (
            found.name,
            row | {"moved": float(estimate.moved), "inside": float(inside_c.double().mean())},
        )


def _accuracy(logits_nc: Tensor, labels_n: Tensor, stored: Stored, prior_c: Tensor) -> float:
    adjusted_nc = adjust_to_prior(
        logits_nc.double(), trained_prior_c=stored.trained_prior_c, test_prior_c=prior_c
    )
    return 100 * float((adjusted_nc.argmax(dim=1) == labels_n).double().mean())


def ratio_of_means(gains: Sequence[float], known: Sequence[float]) -> tuple[float, float, float]:
    """The ratio of two means over the same seeds, with a 95 % bootstrap interval over seeds."""
    draw, ratios = random.Random(0), []
    for _ in range(10_000):
        chosen = draw.choices(range(len(gains)), k=len(gains))
        ratios.append(sum(gains[i] for i in chosen) / sum(known[i] for i in chosen))
    ratios.sort()
    return sum(gains) / sum(known), ratios[249], ratios[9749]


def table(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the table."""
    names = ("none", "train", "known", "EM", "estimate")
    yield f"| | n | {' | '.join(names)} | EM gains | estimate gains | moved | inside |"
    yield "|---|---:|" + "---:|" * (len(names) + 4)
    for setting in SETTINGS:
        for experts in EXPERTS:
            files = [
                file_of(arguments.logits, setting, experts, seed) for seed in range(setting.seeds)
            ]
            models = [read(file) for file in files if file.exists()]
            of_seeds = models[1:] + models[:1] if arguments.other_seed else models
            rows: dict[str, list[dict[str, float]]] = {}
            for model, other in zip(models, of_seeds, strict=True):
                for name, row in accuracies(model, other.held_out):
                    rows.setdefault(name, []).append(row)
            for name, seeds in rows.items():
                yield _line(f"{setting.name} {experts} {setting.epochs}, {name}", seeds, names)


def _line(head: str, rows: Sequence[dict[str, float]], names: Sequence[str]) -> str:
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    cells = [
        f"{statistics.fmean(columns[name]):.1f} ± {statistics.stdev(columns[name]):.1f}"
        for name in names
    ]
    known = [k - n for k, n in zip(columns["known"], columns["none"], strict=True)]
    for name in ("EM", "estimate"):
        gains = [e - n for e, n in zip(columns[name], columns["none"], strict=True)]
        if statistics.fmean(known) >= 3:
            ratio, low, high = ratio_of_means(gains, known)
            cells.append(f"{100 * ratio:.0f} % ({100 * low:.0f}..{100 * high:.0f})")
        else:
            cells.append(f"{statistics.fmean(gains):+.1f} points")
    moved = f"{sum(columns['moved']):.0f} of {len(rows)}"
    inside = f"{100 * statistics.fmean(columns['inside']):.0f} %"
    return f"| {' | '.join([head, str(len(rows)), *cells, moved, inside])} |"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of CIFAR-10 and RetinaMNIST; trains")
    parser.add_argument("--logits", type=Path, default=Path("runs/logits"))
    parser.add_argument("--other-seed", action="store_true", help="held-out images of another seed")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for setting in SETTINGS if arguments.data else ():
        for seed in range(setting.seeds):
            for experts in EXPERTS:
                file = file_of(arguments.logits, setting, experts, seed)
                if not file.exists():
                    train(file, setting, experts, seed, arguments.data)
    for line in table(arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
