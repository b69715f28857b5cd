"""Tune sends the driver's AWS keys to its workers, and Ray logs on every node what is sent so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.tune.execution import class_cache

_PREFIX = "AWS_"


@contextmanager
def own_credentials() -> Iterator[None]:
    """Within the block Tune sends none: every node has credentials of its own, or finds them."""
    sent = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in sent if not name.startswith(_PREFIX)}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = sent
