"""Tables with missing cells, of numbers and names: columns and their kinds, models of them, and filling them in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npvae.estimators.tables.completed import TableImputation
    from npvae.estimators.tables.imputer import TableImputer

__all__ = ["TableImputation", "TableImputer"]


def __getattr__(name: str):
    """The classes when they are asked for: models of other kinds need the columns of tables, and no imputer."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module 'npvae.estimators.tables' has no attribute {name!r}")
    return getattr(
        import_module("npvae.estimators.tables." + {"TableImputation": "completed", "TableImputer": "imputer"}[name]),
        name,
    )
