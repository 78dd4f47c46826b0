"""What scikit-learn asks of an estimator: arguments by name, nested ones, a repr."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from npvae import VAE
from npvae.errors import InputError, NotFittedError
from npvae.estimators.sklearn_protocol import SklearnProtocol


class Outer(SklearnProtocol):
    def __init__(self, inner=None, *, size=3):
        self.inner, self.size = inner, size


def test_arguments_and_those_of_an_argument_that_is_an_estimator():
    outer = Outer(Outer("x", size=4))
    assert outer.get_params() == {"inner": outer.inner, "size": 3, "inner__inner": "x", "inner__size": 4}
    assert outer.get_params(deep=False) == {"inner": outer.inner, "size": 3}
    assert Outer(Outer).get_params() == {"inner": Outer, "size": 3}  # a class is none
    assert Outer().get_params() == {"inner": None, "size": 3}


def test_arguments_are_set_by_name():
    outer = Outer(Outer(size=4))
    assert outer.set_params(inner__size=5, size=6) is outer and (outer.size, outer.inner.size, outer.inner.inner) == (
        6,
        5,
        None,
    )
    outer.set_params(inner__inner=Outer()).set_params(inner__inner__size=7)
    assert outer.inner.inner.size == 7
    for wrong in ("other", "other__size", "size__size", "__size", "inner__other"):
        with pytest.raises(
            InputError, match="Invalid parameter '.*' for estimator Outer.*Valid parameters are: \\['inner', 'size'\\]"
        ):
            outer.set_params(**{wrong: 1})
    assert not hasattr(outer, "other")


def test_a_repr_has_what_is_not_the_default():
    assert repr(Outer()) == "Outer()" and repr(Outer(Outer(size=4), size=5)) == "Outer(inner=Outer(size=4), size=5)"
    assert repr(VAE(None, None, beta=2.0)) == "VAE(beta=2.0)" and repr(VAE(2)) == "VAE(latent_dim=2)"


def test_names_of_columns_are_objects_and_can_be_forgotten():
    outer = Outer()
    outer._set_feature_names(None)
    assert not hasattr(outer, "feature_names_in_")
    outer._set_feature_names(["a", "bc"])
    assert outer.feature_names_in_.dtype == object and outer.feature_names_in_.tolist() == ["a", "bc"]
    outer._set_feature_names(None)
    assert not hasattr(outer, "feature_names_in_")


def test_an_estimator_is_fitted_once_it_has_parameters():
    outer = Outer()
    assert outer.__sklearn_is_fitted__() is False
    outer.theta_ = np.zeros(1)
    assert outer.__sklearn_is_fitted__() is True


def test_the_error_of_what_is_not_fitted_is_scikit_learn_s_too_where_that_is_imported(monkeypatch):
    class Theirs(ValueError):
        pass

    monkeypatch.setitem(sys.modules, "sklearn.exceptions", type(sys)("sklearn.exceptions"))
    sys.modules["sklearn.exceptions"].NotFittedError = Theirs
    error = Outer._not_fitted_error("words")
    assert isinstance(error, Theirs) and isinstance(error, NotFittedError) and str(error) == "words"
    assert type(error).__name__ == "NotFittedError"
    monkeypatch.delitem(sys.modules, "sklearn.exceptions")
    error = Outer._not_fitted_error("words")
    assert type(error) is NotFittedError and str(error) == "words"
