"""Two ways to scale a scorer by a temperature, where the true posterior is known.

    uv run python -m tests.benchmarks.prior_estimation --data ../shared/data --logits runs/logits
    uv run python -m tests.benchmarks.temperatures --logits runs/logits

f has the target prior P_λ ∝ π^λ, and training saw g = f + (1 − λ)·log π, whose prior is π.
*logits*: f/T. *training scorer*: g/T − (1 − λ)·log π. Both are fitted on the validation images of
`gaussian_lt` with equal class weights, and measured on its test images with equal class weights and
with those of two shifts whose prior is known. KL is that from the true posterior, in nats.

N images, E experts, C classes.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from balpoe.config.shifts import SHIFTS
from balpoe.evaluation.image_weights import balanced_weights, class_weighted, shift_weights
from balpoe.evaluation.temperature import fit_temperature
from balpoe.method.priors import class_prior, mean_lambda, target_prior

CONTESTANTS = ("unscaled", "logits", "training scorer")
Figures = dict[str, float]


def measured(file: Path, experts: str) -> Iterator[tuple[str, str, Figures]]:
    """Yield the figures of every scorer, contestant and prior of a training."""
    with np.load(file) as arrays:
        found = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    counts = found["counts"].tolist()
    prior_c = class_prior(counts)
    lambdas = found["lambdas"].tolist()
    scorers = {f"{experts}, product": (slice(None), mean_lambda(lambdas))}
    if len(lambdas) > 1:
        scorers |= {f"expert {lam:+.0f}": (slice(e, e + 1), lam) for e, lam in enumerate(lambdas)}
    for name, (chosen, lam) in scorers.items():
        known_nc, test_nc = (
            found[split][:, chosen].mean(dim=1).double() for split in ("val", "test")
        )
        trained_c = target_prior(prior_c, lam)
        moved_c = (prior_c.log() - trained_c.log())[None]
        images_c = torch.bincount(found["val_y"], minlength=len(counts))
        weights_n = balanced_weights(found["val_y"], images_c)
        likelihoods = {
            "unscaled": test_nc - trained_c.log(),
            "logits": test_nc
            / fit_temperature(
                known_nc, found["val_y"], shift_c=-trained_c.log(), weights_b=weights_n
            )
            - trained_c.log(),
            "training scorer": (test_nc + moved_c)
            / fit_temperature(
                known_nc + moved_c, found["val_y"], shift_c=-prior_c.log(), weights_b=weights_n
            )
            - prior_c.log(),
        }
        for contestant, log_likelihoods_nc in likelihoods.items():
            yield name, contestant, _figures(log_likelihoods_nc, found, counts)


def _figures(log_likelihoods_nc: Tensor, found: Mapping[str, Tensor], counts: list[int]) -> Figures:
    labels_n, classes = found["test_y"], len(counts)
    priors = {"uniform": torch.full((classes,), 1 / classes, dtype=torch.float64)}
    for shift in SHIFTS:
        if shift.name in ("forward_10", "backward_10"):
            weights_c = shift_weights(shift, counts)
            priors[shift.name] = weights_c / weights_c.sum()
    figures = {}
    for name, prior_c in priors.items():
        predicted_nc = (log_likelihoods_nc + prior_c.log()).log_softmax(dim=-1)
        true_nc = (found["test_ll"] + prior_c.log()).log_softmax(dim=-1)
        weights_n = class_weighted(labels_n, torch.bincount(labels_n, minlength=classes), prior_c)
        weights_n = weights_n / weights_n.sum()
        divergence_n = (true_nc.exp() * (true_nc - predicted_nc)).sum(dim=-1)
        figures[f"{name} KL"] = float(weights_n @ divergence_n)
        nll_n = -predicted_nc[torch.arange(len(labels_n)), labels_n]
        figures[f"{name} NLL"] = float(weights_n @ nll_n)
        figures[f"{name} ECE"] = 100 * _ece(predicted_nc.exp(), labels_n, weights_n)
    return figures


def _ece(probabilities_nc: Tensor, labels_n: Tensor, weights_n: Tensor) -> float:
    confidences_n, winners_n = probabilities_nc.max(dim=1)
    bins_n = (confidences_n * 15).ceil().long().clamp(1, 15) - 1
    excess_n = weights_n * (confidences_n - (winners_n == labels_n).double())
    return float(torch.zeros(15, dtype=torch.float64).index_add_(0, bins_n, excess_n).abs().sum())


def table(logits: Path) -> Iterator[str]:
    """Yield the lines of the table: means ± sd, and paired differences of the two scalings."""
    rows: dict[tuple[str, str], list[Figures]] = {}
    for experts in ("ce", "balpoe"):
        for file in sorted(logits.glob(f"gauss_{experts}_*.npz")):
            for name, contestant, figures in measured(file, experts):
                rows.setdefault((name, contestant), []).append(figures)
    heads = list(next(iter(rows.values()))[0])
    yield f"| | n | {' | '.join(heads)} |"
    yield "|---|---:|" + "---:|" * len(heads)
    for (name, contestant), seeds in rows.items():
        cells = [_mean_and_sd([seed[head] for seed in seeds]) for head in heads]
        yield f"| {name}: {contestant} | {len(seeds)} | {' | '.join(cells)} |"
        if contestant == CONTESTANTS[-1]:
            before = rows[name, CONTESTANTS[-2]]
            pairs = [
                [b[head] - a[head] for a, b in zip(before, seeds, strict=True)] for head in heads
            ]
            yield f"| difference | {len(seeds)} | {' | '.join(map(_mean_and_sd, pairs))} |"


def _mean_and_sd(values: list[float]) -> str:
    return f"{statistics.fmean(values):.3f} ± {statistics.stdev(values):.3f}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--logits", type=Path, default=Path("runs/logits"))
    for line in table(parser.parse_args().logits):
        print(line)


if __name__ == "__main__":
    main()
