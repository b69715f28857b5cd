"""A trial that does no work: what both contestants of the overhead benchmark report.

Light to import, so that the workers of stock Tune load neither torch nor balpoe.study.
"""

from __future__ import annotations

from collections.abc import Mapping

from balpoe.config import Choice
from balpoe.config.metrics import metric_table

REPORTS = 10
CONCURRENT_TRIALS = 2
OBJECTIVES = {"val/accuracy": "maximize", "val/ece": "minimize"}
REPORT_SECONDS = "epoch_seconds"


def idle_metrics(
    epoch: int, parameters: Mapping[str, Choice], seconds: float = 0.0
) -> dict[str, float]:
    """The 14 metrics of an epoch; `seconds` since the report before is one of them.

    The objectives depend on the parameters, so that the sampler has a front to look for.
    """
    spread, alpha = float(parameters["experts.spread"]), float(parameters["mixup.alpha"])
    values = {f"val/{name}": 1.0 / (1 + epoch) for name in metric_table()}
    values["val/accuracy"] = 1 - (spread - 1) ** 2 / 2 - 0.1 * alpha
    values["val/ece"] = 0.2 - 0.1 * alpha + 0.01 * spread
    training = {"train/loss": 2.0 / epoch, "train/learning_rate": 0.1, "peak_memory_mib": 512.0}
    return {**training, REPORT_SECONDS: seconds, **values}
