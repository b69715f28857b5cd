"""The parameters of a final training in MLflow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from balpoe.tracking.trained_model import _log_values


def test_costs_are_logged_as_a_digest() -> None:
    classes = [f"class {y}" for y in range(100)]
    rows = [[0.5] * 100] * 100
    epochs = [{"epoch": 1, "unix_time": 0.0, "metrics": {"train/loss": 1.0}}]

    def params(configuration: dict[str, Any]) -> dict[str, str]:
        found: dict[str, str] = {}
        client: Any = SimpleNamespace(
            log_batch=lambda run_id, metrics, params: found.update(
                {param.key: param.value for param in params}
            )
        )
        model: Any = SimpleNamespace(
            metrics={"epochs": epochs, "final": {}},
            provenance=SimpleNamespace(configuration=configuration, seed=3),
        )
        _log_values(client, "run", "model", model)
        return found

    logged = params({"mixup": {"alpha": 0.2}, "cost": {"classes": classes, "rows": rows}})
    digest = logged.pop("cost_sha256")
    assert logged == {"mixup.alpha": "0.2", "seed": "3"}
    assert len(digest) == 64
    other = {"classes": classes, "rows": [[1.0] * 100, *rows[1:]]}
    assert params({"cost": other})["cost_sha256"] != digest
    assert params({}) == {"seed": "3"}
