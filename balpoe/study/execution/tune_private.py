"""What this package needs of Ray Tune (2.60) beyond its documented interface.

`tests/study/test_private_names.py` names what another release lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ray.tune.execution import class_cache


@contextmanager
def without_aws_keys() -> Iterator[None]:
    """Keep Tune from sending the driver's AWS keys to its workers within the block.

    Ray logs on every node what is sent so. Each node has credentials of its own.
    """
    sent = class_cache.ENV_VARS_TO_PROPAGATE
    class_cache.ENV_VARS_TO_PROPAGATE = {name for name in sent if not name.startswith("AWS_")}
    try:
        yield
    finally:
        class_cache.ENV_VARS_TO_PROPAGATE = sent
