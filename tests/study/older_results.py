"""Results as earlier versions wrote them."""

from __future__ import annotations

import hashlib
import json

from balpoe.study.trials.directory import TrialDirectory


def rewrite_in_format_1(trial: TrialDirectory, **fields: object) -> None:
    """Turn a result into one that tells no class counts, and replace `fields` of it."""
    document = json.loads(trial.result.read_text())
    left_out = ("class_counts", "sha256")
    kept = {name: value for name, value in document.items() if name not in left_out}
    content = kept | fields | {"format": 1}
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    trial.result.write_text(json.dumps({**content, "sha256": digest}))
