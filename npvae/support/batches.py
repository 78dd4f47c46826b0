"""Many rows, a part at a time."""

from __future__ import annotations

from collections.abc import Iterator


def batches(rows: int, batch_size: int) -> Iterator[slice]:
    """Slices that cover ``rows`` in order."""
    return (slice(start, min(start + batch_size, rows)) for start in range(0, rows, batch_size))
