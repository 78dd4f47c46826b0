"""A table: some columns by one likelihood, the next by another.

    log p(x|z) = sum over parts of log p(x_part | z)

Each entry is a likelihood and how many columns it has, in the order of the columns. Entries whose likelihoods can be
joined, wherever they stand, are one part (``Likelihood.joined``): a computation on many columns costs little more than
one on a single column. Given z the parts are independent, so losses add up, and every gradient goes to the heads and
parameters of its own part, which keep their names behind that of its first entry: ``part0_logits``, ``part1_mean``, ...
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import numpy as np

from npvae.errors import InputError, InputTypeError
from npvae.mathematics.likelihoods import known
from npvae.mathematics.likelihoods.base import Likelihood, check_upstream
from npvae.mathematics.likelihoods.columns import put, take
from npvae.support import check, registry


class Table(Likelihood):
    """Columns with a likelihood each.

    columns: a list of ``{"likelihood": ..., "columns": n}``, or pairs of a likelihood and n; a likelihood is a name, a
    mapping with arguments, or an object.
    """

    name = "table"
    has_curves = True

    def __init__(self, columns) -> None:
        if isinstance(columns, (str, Mapping)) or not isinstance(columns, Iterable):
            raise InputTypeError(f"columns must be a list of likelihoods and their numbers of columns, got {columns!r}")
        self._parts = [_part(i, entry) for i, entry in enumerate(columns)]
        if not self._parts:
            raise InputError("columns is empty: a table needs at least one likelihood")
        self._joined = _joined(self._parts)

    def config(self):
        return {
            "columns": [
                {"likelihood": registry.to_config(likelihood), "columns": count} for likelihood, count in self._parts
            ]
        }

    def __str__(self) -> str:
        counts: dict[str, int] = {}
        for likelihood, count in self._parts:
            counts[likelihood.name] = counts.get(likelihood.name, 0) + len(likelihood.variables(count))
        return f"table of columns by {', '.join(f'{name} ({count})' for name, count in counts.items())}"

    def parts(self, n_features: int) -> list[tuple[str, Likelihood, slice | list[int]]]:
        """Prefix, likelihood and columns of every part. InputError: they are not as many as X has."""
        self._check_number(n_features)
        return [(prefix, likelihood, columns) for prefix, likelihood, columns, _ in self._joined]

    def _entries(self, n_features: int) -> list[tuple[Likelihood, slice]]:
        """Likelihood and columns of every entry. InputError: they are not as many as X has."""
        self._check_number(n_features)
        ends = itertools.accumulate(count for _, count in self._parts)
        return [
            (likelihood, slice(end - count, end)) for (likelihood, count), end in zip(self._parts, ends, strict=True)
        ]

    def _check_number(self, n_features: int) -> None:
        total = self._n_features()
        if total != n_features:
            raise InputError(f"the table likelihood describes {total} columns, but X has {n_features}")

    def _counted_parts(self, n_features: int):
        """The parts, each with its number of columns."""
        self._check_number(n_features)
        return self._joined

    def heads(self, n_features):
        return {
            prefix + name: width
            for prefix, likelihood, _, count in self._counted_parts(n_features)
            for name, width in likelihood.heads(count).items()
        }

    def parameters(self, n_features):
        return {
            prefix + name: value
            for prefix, likelihood, _, count in self._counted_parts(n_features)
            for name, value in likelihood.parameters(count).items()
        }

    def count_columns(self, n_features):
        entries = self._entries(n_features)
        return np.concatenate(
            [likelihood.count_columns(columns.stop - columns.start) for likelihood, columns in entries]
        )

    def _split(self, n_features: int, outputs, parameters):
        """Every part with its own outputs and parameters."""
        outputs = list(outputs)
        for prefix, likelihood, columns, count in self._counted_parts(n_features):
            heads = len(likelihood.heads(count))
            own = {name.removeprefix(prefix): value for name, value in parameters.items() if name.startswith(prefix)}
            yield prefix, likelihood, columns, tuple(outputs[:heads]), own
            del outputs[:heads]

    def _n_features(self) -> int:
        return sum(count for _, count in self._parts)

    def negative_log_likelihood(self, ops, outputs, x, parameters, gradient=True, observed=None):
        nll, backwards = None, []
        for prefix, likelihood, columns, own_outputs, own in self._split(x.shape[1], outputs, parameters):
            of_part = () if observed is None else (take(ops, observed, columns),)
            part, backward = likelihood.negative_log_likelihood(
                ops, own_outputs, take(ops, x, columns), own, gradient, *of_part
            )
            nll = part if nll is None else nll + part
            backwards.append((prefix, backward))

        def backward(dnll):
            check_upstream(nll, dnll)
            doutputs, dparameters = [], {}
            for prefix, part_backward in backwards:
                by_outputs, by_parameters = part_backward(dnll)
                doutputs += by_outputs
                dparameters.update({prefix + name: value for name, value in by_parameters.items()})
            return tuple(doutputs), dparameters

        return nll, (backward if gradient else None)

    def variables(self, n_features):
        return [
            slice(columns.start + v.start, columns.start + v.stop)
            for likelihood, columns in self._entries(n_features)
            for v in likelihood.variables(columns.stop - columns.start)
        ]

    def losses_by_variable(self, ops, outputs, x, parameters, observed=None):
        losses = {}
        for _, likelihood, columns, own_outputs, own in self._split(x.shape[1], outputs, parameters):
            places = np.arange(x.shape[1])[columns]
            of_part = None if observed is None else take(ops, observed, columns)
            found = likelihood.losses_by_variable(ops, own_outputs, take(ops, x, columns), own, of_part)
            losses.update(
                {int(places[v.start]): loss for v, loss in zip(likelihood.variables(len(places)), found, strict=True)}
            )
        return [losses[start] for start in sorted(losses)]

    def initial_biases(self, x):
        return {
            prefix + name: value
            for prefix, likelihood, columns in self.parts(x.shape[1])
            for name, value in likelihood.initial_biases(x[:, columns]).items()
        }

    def initial_own(self, x):
        return {
            prefix + name: value
            for prefix, likelihood, columns in self.parts(x.shape[1])
            for name, value in likelihood.initial_own(x[:, columns]).items()
        }

    def linear_start(self, mean, V, noise):
        result: dict = {}
        for prefix, likelihood, columns in self.parts(len(mean)):
            for kind, tensors in likelihood.linear_start(mean[columns], V[:, columns], noise[columns]).items():
                result.setdefault(kind, {}).update({prefix + name: value for name, value in tensors.items()})
        return result

    def mean(self, ops, outputs, parameters, curves=None, wanted=None):
        """E[x|z], (B, I); in the columns i of ``curves``, functions of xp and an array by column, E[curve_i(x_i)|z], by
        quadrature.

        wanted: (I,), booleans: parts of whose columns none is wanted are left at 0, which saves their time; None: all
        are.
        """
        n_features = self._n_features()
        result = ops.xp.zeros((outputs[0].shape[0], n_features), dtype=outputs[0].dtype)
        for _, likelihood, columns, own_outputs, own in self._split(n_features, outputs, parameters):
            if wanted is not None and not wanted[columns].any():
                continue
            put(result, columns, likelihood.mean(ops, own_outputs, own))
            places = {int(i): place for place, i in enumerate(np.arange(n_features)[columns])}
            curved = {i: curve for i, curve in (curves or {}).items() if i in places}
            if curved:
                put(result, list(curved), ops.xp.zeros((result.shape[0], len(curved)), dtype=result.dtype))
                for weight, points in likelihood.quadrature(ops, own_outputs, own):
                    for i, curve in curved.items():
                        result[:, i] += weight * curve(ops.xp, points[:, places[i]])
        return result

    def draw(self, outputs, parameters, stream):
        n_features = self._n_features()
        drawn = np.empty((len(outputs[0]), n_features), outputs[0].dtype)
        for _, likelihood, columns, own_outputs, own in self._split(n_features, outputs, parameters):
            drawn[:, columns] = likelihood.draw(own_outputs, own, stream)
        return drawn

    def check_data(self, x, column_names=None):
        names = list(range(x.shape[1])) if column_names is None else list(column_names)
        for likelihood, columns in self._entries(x.shape[1]):
            likelihood.check_data(x[:, columns], names[columns])

    @classmethod
    def example(cls, n_features):
        """A column of each of some kinds, the rest one-hot."""
        kinds = ["gaussian_decoder", "gaussian_per_feature", "poisson"][: n_features - 1]
        return cls([*((kind, 1) for kind in kinds), ("categorical", n_features - len(kinds))])


def _joined(entries) -> list[tuple[str, Likelihood, slice | list[int], int]]:
    """Of entries, a likelihood and a number of columns each, the parts: prefix, likelihood, columns and their
    number.
    """
    parts: list[list] = []
    end = 0
    for i, (likelihood, count) in enumerate(entries):
        own = list(range(end, end + count))
        end += count
        for part in parts:
            both = part[1].joined(len(part[2]), likelihood, count)
            if both is not None:
                part[1:] = both, part[2] + own
                break
        else:
            parts.append([f"part{i}_", likelihood, own])
    # Neighbours as a slice, of which arrays give a view.
    return [
        (prefix, likelihood, slice(own[0], own[-1] + 1) if own[-1] - own[0] == len(own) - 1 else own, len(own))
        for prefix, likelihood, own in parts
    ]


def _part(index: int, entry) -> tuple[Likelihood, int]:
    if isinstance(entry, Mapping):
        if set(entry) != {"likelihood", "columns"}:
            raise InputError(
                f"entry {index} of columns must have the keys 'likelihood' and 'columns', got {sorted(entry)}"
            )
        entry = entry["likelihood"], entry["columns"]
    if isinstance(entry, str) or not isinstance(entry, Iterable) or len(pair := list(entry)) != 2:
        raise InputTypeError(f"entry {index} of columns must be a likelihood and its number of columns, got {entry!r}")
    likelihood = known.get(pair[0])
    if isinstance(likelihood, Table):
        raise InputError(f"entry {index} of columns is a table itself")
    count = check.whole_number(f"the number of columns of entry {index} of columns", pair[1], 1)
    likelihood.heads(count)  # so that blocks that do not fit are found here
    return likelihood, count
