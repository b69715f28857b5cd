"""The methods of the papers side by side on CIFAR-10-LT, with a shortened recipe.

    uv run python -m tests.benchmarks.methods --data ../shared/data --out studies/results

Every loss and every mixer, with one expert where the method is for one, is trained on the full cut
at imbalance ratio 100 and measured on the test set, seed by seed, so that what was cut short still
compares equals. Models stay in `--runs`: the same command continues, or adds seeds, and several
processes may share the methods (`--share 0/2` and `--share 1/2`; without `--share` it then writes
the tables). Writes every metric as JSON, and as Markdown a table of means and of paired differences
from balanced softmax, as one family of tests.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import torch

from balpoe.atomic_write import write_text_atomically
from balpoe.config import Choice, ModelConfig, with_parameters
from balpoe.config.published_points import PAPERS
from balpoe.data import load_final_splits
from balpoe.study.selection.comparison import Difference
from balpoe.study.selection.side_by_side import differences_from_first
from balpoe.training.final_training import FinalTraining, train_final
from tests.benchmarks.engine import configuration

NAME = "cifar10_lt_ir100"
COLUMNS = {
    "accuracy": "test/accuracy",
    "many": "test/accuracy_many",
    "medium": "test/accuracy_medium",
    "ECE": "test/ece",
    "MCE": "test/mce",
    "forward 50": "test_forward_50/accuracy",
    "backward 50": "test_backward_50/accuracy",
    "forward 50, prior known": "test_forward_50_known_prior/accuracy",
    "backward 50, prior known": "test_backward_50_known_prior/accuracy",
}
DIVERGENCE = "test/kl_to_target_prior"


REFERENCE = "balanced_softmax"
METHODS: Mapping[str, Mapping[str, Choice]] = {
    REFERENCE: PAPERS[REFERENCE],
    **PAPERS,
    "mixup_cutmix": {**PAPERS["mixup"], "mixing.name": "mixup_cutmix"},
    "label_aware_smoothing": {**PAPERS["ce"], "loss.name": "label_aware_smoothing"},
    "balpoe_without_mixup": {**PAPERS["balpoe"], "mixup.alpha": 0.0},
}
"""By name, what a method sets; the first one is the reference of the differences."""

PUBLISHED: Mapping[str, tuple[float, float | None]] = {
    "balanced_softmax": (83.1, None),
    "ce": (71.3, 19.1),
    "balpoe": (84.2, 6.3),
    "balpoe_without_mixup": (80.5, 11.0),
    "mixup": (73.06, 19.2),
    "remix": (75.36, 15.38),
    "remix_drw": (79.8, None),
    "manifold_mixup": (72.96, None),
    "unimix": (76.47, 12.87),
    "bayias": (78.7, 11.05),
    "unimix_bayias": (82.75, 10.19),
    "focal": (70.43, None),
    "class_balanced_focal": (74.57, None),
    "ldam": (74.47, None),
    "ldam_drw": (77.03, 19.89),
    "sade": (83.8, None),
    "ride": (81.6, None),
    "tau_norm": (75.1, None),
    "mislas": (82.1, 3.7),
}
"""Accuracy and ECE in % that the papers print for ResNet-32, CIFAR-10-LT at ratio 100, 200 epochs.

CVPR 2023, Tables 8 and 9; its arXiv version 1, Table 6 (Remix-DRW); NeurIPS 2021, Tables 1, 2, 4.
"""

Results = Mapping[str, Mapping[str, Mapping[str, float]]]
"""The metrics on the test set by method and seed."""


@dataclass(frozen=True, slots=True)
class Share:
    """The methods of one of several processes: each `count`-th, from `place` on."""

    place: int = 0
    count: int = 1

    @classmethod
    def parsed(cls, text: str) -> Share:
        """Read `i/n`."""
        place, _, count = text.partition("/")
        return cls(int(place), int(count))


def compare(arguments: argparse.Namespace) -> None:
    """Train what is not trained yet, and write the results after every model."""
    torch.set_num_threads(arguments.threads)
    recipe = configuration(arguments.data, experts=1, epochs=arguments.epochs)
    base = replace(recipe, model=ModelConfig(backbone=arguments.backbone))
    splits = load_final_splits(base.data)
    results: dict[str, dict[str, Mapping[str, float]]] = {}
    for seed in arguments.seeds:
        for name in list(METHODS)[arguments.share.place :: arguments.share.count]:
            started = time.perf_counter()
            model = train_final(
                FinalTraining(
                    with_parameters(base, METHODS[name]),
                    seed=seed,
                    path=arguments.runs / name / f"seed_{seed}",
                    balpoe_version=version("balpoe"),
                ),
                splits,
                torch.device(arguments.device),
                lambda result: None,
            )
            metrics = model.metrics["final"]
            kept = {metric: metrics[metric] for metric in (*COLUMNS.values(), DIVERGENCE)}
            results.setdefault(name, {})[str(seed)] = kept
            accuracy = kept["test/accuracy"]
            seconds = time.perf_counter() - started
            print(f"{name}, seed {seed}: {accuracy:.4f} ({seconds:.0f} s)", flush=True)
            if arguments.share.count == 1:
                write(arguments, results)


def write(arguments: argparse.Namespace, results: Results) -> None:
    """The results as they stand."""
    setting = {
        "backbone": arguments.backbone,
        "epochs": arguments.epochs,
        "device": arguments.device,
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "system": platform.platform(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("balpoe", "torch", "torchvision")},
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    document = {"setting": setting, "methods": results}
    file = arguments.out / f"{NAME}_{arguments.backbone}_{arguments.epochs}_epochs"
    write_text_atomically(file.with_suffix(".json"), json.dumps(document, indent=1) + "\n")
    lines = (*described(setting), "", *table(results), "", *difference_table(results))
    write_text_atomically(file.with_suffix(".md"), "\n".join(lines) + "\n")


def processor() -> str:
    """What the kernel calls it, where it says so."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def described(setting: Mapping[str, object]) -> Iterator[str]:
    """A line for each part of the setting; all metrics are in the JSON file beside this one."""
    for name, value in setting.items():
        shown = ", ".join(map(" ".join, value.items())) if isinstance(value, dict) else value
        yield f"- {name}: {shown}"


def table(results: Results) -> Sequence[str]:
    """A row a method: means over its seeds, with the standard deviation of several."""
    rows = [
        "| method | n | " + " | ".join(f"{name} %" for name in COLUMNS) + " | KL, nats |",
        "|---|---:|" + "---:|" * (len(COLUMNS) + 1),
    ]
    for method, seeds in results.items():
        figures = [
            _figure([metrics[name] for metrics in seeds.values()], 100, 1)
            for name in COLUMNS.values()
        ]
        divergence = _figure([metrics[DIVERGENCE] for metrics in seeds.values()], 1, 3)
        rows.append(f"| {method} | {len(seeds)} | {' | '.join([*figures, divergence])} |")
    return rows


def difference_table(results: Results) -> Iterator[str]:
    """A row a method: its differences from the reference in points, and what the papers print.

    The figures of the papers have another network, other epochs and other seeds.
    """
    names = [REFERENCE, *(name for name in results if name != REFERENCE)]
    metrics = {"accuracy": "test/accuracy", "ECE": "test/ece"}  # the test set is balanced
    if len(names) < 2 or REFERENCE not in results:
        return
    models = [{int(seed): values for seed, values in results[name].items()} for name in names]
    differences = differences_from_first(models, list(metrics.values()))
    yield f"Differences from {REFERENCE} in points, with intervals for the whole family:"
    yield ""
    yield "| method | n | accuracy | ECE | told apart by | papers: accuracy % | ECE % |"
    yield "|---|---:|---:|---:|---|---:|---:|"
    for name, found in zip(names[1:], differences, strict=True):
        cells = [_difference(found.differences[metric]) for metric in metrics.values()]
        apart = [
            label
            for label, metric in metrics.items()
            if found.differences[metric].verdict == "separable"
        ]
        papers = ("–" if v is None else f"{v:g}" for v in PUBLISHED.get(name, (None, None)))
        row = [name, str(len(found.seeds)), *cells, ", ".join(apart) or "nothing", *papers]
        yield f"| {' | '.join(row)} |"


def _difference(difference: Difference) -> str:
    if difference.mean is None:
        return "–"
    half = difference.smallest
    return f"{100 * difference.mean:+.1f}" + ("" if half is None else f" ± {100 * half:.1f}")


def _figure(values: Sequence[float], scale: float, digits: int) -> str:
    mean = f"{scale * statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {scale * statistics.stdev(values):.{digits}f}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--share",
        type=Share.parsed,
        default=Share(),
        help="part i/n of the methods, from 0, for one of n processes that share --runs",
    )
    parser.add_argument("--backbone", default="resnet8")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the CIFAR-10 Parquet files"
    )
    parser.add_argument("--out", type=Path, default=Path("studies/results"))
    parser.add_argument("--runs", type=Path, default=Path("runs/methods"))
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
