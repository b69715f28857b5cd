"""Results as earlier versions wrote them."""

from __future__ import annotations

import hashlib
import json

from balpoe.study.trials.directory import TrialDirectory


def rewrite_in_format_1(trial: TrialDirectory, **fields: object) -> None:
    """Turn a result into one without class counts and precision, and replace `fields` of it."""
    _rewrite(trial, 1, ("class_counts", "precision"), fields)


def rewrite_in_format_2(trial: TrialDirectory) -> None:
    """Turn a result into one without the precision."""
    _rewrite(trial, 2, ("precision",), {})


def _rewrite(
    trial: TrialDirectory, number: int, later: tuple[str, ...], fields: dict[str, object]
) -> None:
    document = json.loads(trial.result.read_text())
    kept = {name: value for name, value in document.items() if name not in (*later, "sha256")}
    content = kept | fields | {"format": number}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    trial.result.write_text(json.dumps({**content, "sha256": digest}))
