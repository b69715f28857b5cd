"""The methods of the paper side by side on CIFAR-10-LT, with a shortened recipe.

    uv run python -m tests.benchmarks.methods --data ../shared/data --out studies/results

Cross-entropy, balanced softmax, cross-entropy with mixup, and BalPoE without and with mixup are
trained on the full cut at imbalance ratio 100 and measured on the test set, seed by seed, so that
what was cut short still compares equals. Models stay in `--runs`: the same command continues,
or adds seeds. Writes every metric as JSON and a table of means as Markdown.
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
from balpoe.config import Configuration, ExpertsConfig, MixupConfig
from balpoe.data import load_final_splits
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


@dataclass(frozen=True, slots=True)
class Method:
    """A loss by its experts' λs, and the α of mixup."""

    name: str
    lambdas: tuple[float, ...]
    alpha: float = 0.0

    def applied_to(self, base: Configuration) -> Configuration:
        """The configuration that trains it."""
        experts = ExpertsConfig(count=len(self.lambdas), lambdas=self.lambdas)
        return replace(base, experts=experts, mixup=MixupConfig(alpha=self.alpha))


METHODS = (
    Method("CE", (1.0,)),
    Method("balanced softmax", (0.0,)),
    Method("CE + mixup", (1.0,), alpha=0.8),
    Method("BalPoE", (1.0, 0.0, -1.0)),
    Method("BalPoE + mixup", (1.0, 0.0, -1.0), alpha=0.8),
)


def compare(arguments: argparse.Namespace) -> None:
    """Train what is not trained yet, and write the results after every model."""
    torch.set_num_threads(arguments.threads)
    base = configuration(arguments.data, experts=1, epochs=arguments.epochs)
    splits = load_final_splits(base.data)
    results: dict[str, dict[str, Mapping[str, float]]] = {}
    for seed in arguments.seeds:
        for method in METHODS:
            started = time.perf_counter()
            model = train_final(
                FinalTraining(
                    method.applied_to(base),
                    seed=seed,
                    path=arguments.runs / method.name.replace(" ", "_") / f"seed_{seed}",
                    balpoe_version=version("balpoe"),
                ),
                splits,
                torch.device(arguments.device),
                lambda result: None,
            )
            results.setdefault(method.name, {})[str(seed)] = model.metrics["final"]
            accuracy = model.metrics["final"]["test/accuracy"]
            seconds = time.perf_counter() - started
            print(f"{method.name}, seed {seed}: {accuracy:.4f} ({seconds:.0f} s)", flush=True)
            write(arguments, results)


def write(
    arguments: argparse.Namespace, results: Mapping[str, Mapping[str, Mapping[str, float]]]
) -> None:
    """The results as they stand."""
    setting = {
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
    file = arguments.out / f"{NAME}_{arguments.epochs}_epochs"
    write_text_atomically(file.with_suffix(".json"), json.dumps(document, indent=1) + "\n")
    lines = (*described(setting), "", *table(results))
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


def table(results: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Sequence[str]:
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


def _figure(values: Sequence[float], scale: float, digits: int) -> str:
    mean = f"{scale * statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {scale * statistics.stdev(values):.{digits}f}"


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of the CIFAR-10 Parquet files"
    )
    parser.add_argument("--out", type=Path, default=Path("studies/results"))
    parser.add_argument("--runs", type=Path, default=Path("runs/methods"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
