"""The kinds by name. One a file; a new one is a file, a line in ``KINDS`` and one in evidence.py."""

from __future__ import annotations

from typing import Any

from npvae.data.tables.kinds.base import Column
from npvae.data.tables.kinds.binary import Binary
from npvae.data.tables.kinds.bounded import Bounded
from npvae.data.tables.kinds.categorical import Categorical
from npvae.data.tables.kinds.continuous import Continuous
from npvae.data.tables.kinds.counts import Counts
from npvae.data.tables.kinds.ordinal import Ordinal
from npvae.data.tables.kinds.positive import Positive
from npvae.data.tables.kinds.shaped import Shaped

KINDS: dict[str, type[Column]] = {
    kind.kind: kind for kind in (Continuous, Positive, Shaped, Counts, Ordinal, Bounded, Binary, Categorical)
}


def from_config(config: dict) -> Column:
    """The column of :meth:`Column.config`."""
    entries: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in config.items() if name != "kind"
    }
    return KINDS[config["kind"]](**entries)
