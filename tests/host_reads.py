"""What a CUDA graph cannot capture, refused on any device."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class NothingReadOnTheHost(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse operations that read a value on the host, or whose shape depends on values."""

    REFUSED = frozenset(
        {
            "aten::_local_scalar_dense",
            "aten::nonzero",
            "aten::masked_select",
            "aten::_unique2",
            "aten::bincount",
            "aten::repeat_interleave",
        }
    )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operation if a graph can capture it."""
        name = func.name().partition(".")[0]
        by_mask = name == "aten::index" and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if by_mask or name in self.REFUSED:
            raise AssertionError(f"{name} cannot be captured in a graph")
        return func(*args, **(kwargs or {}))


def refuse_reads() -> NothingReadOnTheHost:
    """Return a context that refuses them."""
    return NothingReadOnTheHost()  # type: ignore[no-untyped-call]
