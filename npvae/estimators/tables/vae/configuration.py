"""``likelihood="auto"``: a likelihood for every column by what the column holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from npvae.data.tables.missing import values_of
from npvae.data.tables.schema import UNSEEN
from npvae.errors import InputError
from npvae.support import check, registry

NAME = "auto"


@dataclass(frozen=True)
class Auto:
    """The arguments: as of :class:`npvae.TableImputer`."""

    kinds: Any = None
    ignore: Any = ()
    missing: Any = ()
    unseen: str = "error"

    @classmethod
    def of(cls, likelihood) -> Auto | None:
        """Of an estimator's argument ``likelihood``; None: it is not "auto". InputError: it has arguments that there
        are not.
        """
        if isinstance(likelihood, str):
            return cls() if likelihood == NAME else None
        if not isinstance(likelihood, Mapping) or likelihood.get("name") != NAME:
            return None
        arguments = {name: value for name, value in likelihood.items() if name != "name"}
        known = [field.name for field in fields(cls)]
        for name in arguments:
            if name not in known:
                raise InputError(f'the likelihood "auto" has no argument {name!r}; it has {", ".join(known)}')
        auto = cls(**arguments)
        check.one_of("unseen", auto.unseen, UNSEEN)
        return auto

    def config(self) -> str | dict:
        """As a file has it: the name, or a mapping with what differs from the defaults; ignored columns are in the
        schema.
        """
        missing = [value.item() if hasattr(value, "item") else value for value in values_of(self.missing)]
        said = {
            "kinds": registry.plain(dict(self.kinds)) if self.kinds else None,
            "missing": missing,
            "unseen": self.unseen if self.unseen != "error" else None,
        }
        said = {name: value for name, value in said.items() if value}
        return {"name": NAME, **said} if said else NAME
