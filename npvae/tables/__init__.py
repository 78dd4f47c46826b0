"""Tables with missing cells, of numbers and names: columns and their kinds, models of them, and filling them in."""

from __future__ import annotations

from npvae.tables.imputation import TableImputation
from npvae.tables.imputer import TableImputer

__all__ = ["TableImputation", "TableImputer"]
