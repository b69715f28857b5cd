"""Time and size of `balpoe report` for a study of many trials with invented values.

uv run python -m tests.benchmarks.report --trials 100
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from balpoe.config import BudgetConfig, Configuration, FloatParameter, IntParameter, StudySpec
from balpoe.data.sources.digits_lt import DigitsLT
from balpoe.evaluation.summarising import prediction_summary
from balpoe.files import dump_study
from balpoe.parquet_tables import sha256_of
from balpoe.study.records.ledger import Ledger
from balpoe.study.trials.directory import StudyDirectory
from balpoe.study.trials.metrics_file import write_metrics
from balpoe.study.trials.result_file import TrialResult, write_result
from balpoe.training.epoch import EpochResult
from balpoe.training.loss_context import expert_priors, scalar_lambdas
from balpoe.training.predictions_file import Predictions, write_predictions
from balpoe.training.summary_file import write_summary

EPOCHS, IMAGES, EXPERTS, CLASSES = 20, 300, 3, 10
COUNTS = tuple(range(100, 0, -10))


def write_study(runs: Path, trials: int) -> None:
    """Write a study with the files of `trials` COMPLETE trials."""
    spec = StudySpec(
        name="many",
        base=Configuration(data=DigitsLT()),
        search={
            "experts.count": IntParameter(low=1, high=7),
            "experts.spread": FloatParameter(low=0.0, high=2.0),
            "mixup.alpha": FloatParameter(low=0.0, high=1.0),
        },
        objectives={"val/balanced_accuracy": "maximize", "val/balanced_ece": "minimize"},
        budget=BudgetConfig(trials=trials),
    )
    directory = StudyDirectory.of(runs, spec.name)
    directory.create()
    directory.specification.write_text(dump_study(spec))
    ledger = Ledger(spec, directory)
    ledger.begin_launch()
    generator = np.random.default_rng(0)
    for _ in range(trials):
        trial = ledger.ask()
        accuracy, ece = 0.8 + 0.1 * generator.random(), 0.05 + 0.05 * generator.random()
        values = {"val/balanced_accuracy": accuracy, "val/balanced_ece": ece}
        metrics = {**values, "val/accuracy": accuracy, "val/ece": ece, "train/loss": 1.0}
        metrics |= {"val/kl_to_target_prior": ece, "val/confidence": accuracy}
        history = [EpochResult(e, 1e9 + e, dict(metrics)) for e in range(1, EPOCHS + 1)]
        files = directory.trial(trial.identity)
        files.create()
        write_metrics(files.metrics, history)
        labels_n = np.arange(IMAGES) % CLASSES
        logits_nec = generator.normal(size=(IMAGES, EXPERTS, CLASSES)).astype(np.float32)
        logits_nec[np.arange(IMAGES), :, labels_n] += 2.5
        write_predictions(files.predictions, Predictions(logits_nec, labels_n))
        summary = prediction_summary(
            torch.tensor(logits_nec),
            torch.tensor(labels_n),
            split="val",
            class_names=[str(y) for y in range(CLASSES)],
            class_counts=COUNTS,
            priors=expert_priors(spec.base, COUNTS),
            lambdas=scalar_lambdas(spec.base),
            metrics=tuple(values),
        )
        write_summary(files.summary, summary)
        written = (files.metrics, files.predictions, files.summary)
        result = TrialResult(
            identity=trial.identity,
            parameters=trial.parameters,
            objectives=values,
            seed=0,
            data_fingerprint="none",
            started=1e9,
            ended=1e9 + EPOCHS,
            files={path.name: sha256_of(path) for path in written},
            class_counts=COUNTS,
        )
        write_result(files, result)
        ledger.complete(trial.identity, values)


def main(trials: int, rounds: int) -> None:
    """Print time and size of each round."""
    with tempfile.TemporaryDirectory() as scratch:
        runs, out = Path(scratch) / "runs", Path(scratch) / "report.html"
        write_study(runs, trials)
        command = [sys.executable, "-m", "balpoe.cli", "report", "many"]
        command += ["--runs", str(runs), "--out", str(out)]
        for _ in range(rounds):
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            seconds = time.perf_counter() - began
            detailed = out.read_text().count('data-name="reliability"')
            print(
                f"{trials} trials, {detailed} in detail: {seconds:.1f} s, "
                f"{out.stat().st_size / 1e6:.1f} MB",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.trials, arguments.rounds)
