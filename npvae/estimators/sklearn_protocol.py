"""What scikit-learn asks of an estimator, written out: npvae works in its pipelines and never imports it.

Only methods that scikit-learn itself calls import it, and then it is there.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any, TypeVar

import numpy as np

from npvae.errors import InputError, NotFittedError

#: Arguments that say where a model runs; they can be changed after it is fitted.
WHERE = ("backend", "threads")


P = TypeVar("P", bound="SklearnProtocol")


class SklearnProtocol:
    """get_params, set_params, tags, and a repr that shows what differs from the defaults."""

    @classmethod
    def _parameter_defaults(cls) -> dict:
        signature = inspect.signature(cls.__init__)
        return {name: p.default for name, p in signature.parameters.items() if name != "self"}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name; ``deep``: also those of arguments that are estimators, as
        name__argument.
        """
        found = {name: getattr(self, name) for name in self._parameter_defaults()}
        for name, value in list(found.items()) if deep else ():
            if hasattr(value, "get_params") and not isinstance(value, type):
                found.update({f"{name}__{inner}": given for inner, given in value.get_params().items()})
        return found

    def set_params(self: P, **parameters: Any) -> P:
        """Change constructor arguments; InputError on a name there is not. Return self."""
        known = self._parameter_defaults()
        for name, value in parameters.items():
            outer, _, inner = name.partition("__")
            if inner and outer in known and hasattr(getattr(self, outer), "set_params"):
                getattr(self, outer).set_params(**{inner: value})
                continue
            if name not in known:
                raise InputError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {list(known)}"
                )
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameter_defaults().items()
            if repr(getattr(self, name)) != repr(default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _set_feature_names(self, names) -> None:
        """Remember the columns' names, or forget those of an earlier fit if there are none."""
        if names is not None:
            self.feature_names_in_ = np.array(names, dtype=object)
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_

    def _transform_output(self) -> str:
        """In what form tables are given back: what ``set_output`` said, else scikit-learn's configuration where that
        is imported.
        """
        said = getattr(self, "_sklearn_output_config", {}).get("transform")
        sklearn = sys.modules.get("sklearn")
        return said or (sklearn.get_config().get("transform_output", "default") if sklearn is not None else "default")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "theta_")

    def __sklearn_tags__(self):
        from sklearn.utils import Tags, TargetTags, TransformerTags

        dtypes = [self.dtype] if hasattr(self, "dtype") else []
        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=dtypes) if hasattr(self, "transform") else None,
        )

    @staticmethod
    def _not_fitted_error(message: str) -> Exception:
        """NotFittedError, which is scikit-learn's own too wherever that is already imported."""
        exceptions = sys.modules.get("sklearn.exceptions")
        if exceptions is None:
            return NotFittedError(message)
        both = type("NotFittedError", (NotFittedError, exceptions.NotFittedError), {})
        return both(message)
