"""Columns of a table whose likelihoods are joined: the same, in every number, as each column by its own likelihood."""

import numpy as np
import pytest

from npvae.backend.base import Ops
from npvae.errors import InputError
from npvae.mathematics import likelihoods, random

OPS = Ops(np)
#: Entries of a table, with columns of one likelihood far from each other.
ENTRIES = [
    ({"name": "bounded", "low": 0.0, "high": 1.0, "step": 0.25}, 1),
    ({"name": "ordinal", "sizes": [2]}, 2),
    ("gaussian_decoder", 1),
    ({"name": "bounded", "low": -1.0, "high": None, "step": 0.5}, 1),
    ({"name": "categorical", "sizes": [3]}, 3),
    ({"name": "bounded", "low": None, "high": 2.0, "step": 0.5}, 2),
    ({"name": "ordinal", "sizes": [1, 3]}, 4),
    ("gaussian_decoder", 2),
    ({"name": "bounded", "low": None, "high": None, "step": 0.5}, 1),
    ({"name": "categorical", "sizes": [2]}, 2),
    ("poisson", 1),
    ({"name": "bounded", "low": 0.0, "high": 1.0, "step": 1 / 256}, 1),
    ("gaussian_per_feature", 1),
    ("gaussian_per_feature", 1),
]
#: One row's numbers, which all of the likelihoods can produce.
X = np.array(
    [
        [0.25, 1, 0, 0.3, 1.5, 0, 1, 0, -0.5, 2.0, 1, 1, 1, 0, 0.1, -2.0, 0.5, 0, 1, 3, 0.0, 0.7, -0.4],
        [1.0, 1, 1, -0.8, -1.0, 1, 0, 0, 1.5, -1.0, 0, 0, 0, 0, 2.0, 0.4, -1.5, 1, 0, 0, 0.5, 0.1, 0.2],
    ]
)


def parts_of(rng, table):
    """Outputs and parameters of the table, and of every entry, as ``(likelihood, columns, outputs, parameters)``,
    with equal numbers.
    """
    width = X.shape[1]
    outputs, parameters, by_column, start = [], {}, {}, 0
    for prefix, likelihood, columns in table.parts(width):
        places = np.arange(width)[columns]
        heads = {name: rng.standard_normal((2, n)) for name, n in likelihood.heads(len(places)).items()}
        own = {name: rng.standard_normal(value.shape) for name, value in likelihood.parameters(len(places)).items()}
        outputs += heads.values()
        parameters.update({prefix + name: value for name, value in own.items()})
        for v, variable in enumerate(likelihood.variables(len(places))):
            for i in places[variable]:
                per_column = {
                    name: h[:, np.flatnonzero(places == i)] if h.shape[1] == len(places) else h[:, v : v + 1]
                    for name, h in heads.items()
                }
                by_column[int(i)] = (
                    per_column,
                    {name: value[np.flatnonzero(places == i)] for name, value in own.items()},
                )
    entries = []
    for entry, count in ENTRIES:
        likelihood, columns = likelihoods.get(entry), slice(start, start + count)
        start += count
        names = list(likelihood.heads(count))
        variables = [v.start + columns.start for v in likelihood.variables(count)]
        wide = likelihood.heads(count)
        own_outputs = tuple(
            np.concatenate(
                [
                    by_column[i][0][name]
                    for i in (range(columns.start, columns.stop) if wide[name] == count else variables)
                ],
                axis=1,
            )
            for name in names
        )
        own = {
            name: np.concatenate([by_column[i][1][name] for i in range(columns.start, columns.stop)])
            for name in likelihood.parameters(count)
        }
        entries.append((likelihood, columns, own_outputs, own))
    return tuple(outputs), parameters, entries


def test_the_joined_table_is_its_columns(rng):
    """Losses, by variable too, means, curves' means and gradients; entries that share parameters by feature are not
    joined.
    """
    table = likelihoods.Table(ENTRIES)
    assert [len(np.arange(23)[columns]) for _, _, columns in table.parts(23)] == [6, 6, 3, 5, 1, 1, 1]
    outputs, parameters, entries = parts_of(rng, table)
    observed = rng.random(X.shape) < 0.7
    for block in (slice(1, 3), slice(5, 8), slice(10, 11), slice(11, 14), slice(17, 19)):
        observed[:, block] = observed[:, block][:, :1]
    nll, backward = table.negative_log_likelihood(OPS, outputs, X, parameters, True, observed)
    losses = table.losses_by_variable(OPS, outputs, X, parameters, observed)
    mean = table.mean(OPS, outputs, parameters)
    curved = table.mean(OPS, outputs, parameters, {i: lambda xp, x: x * x for i in (4, 15)})
    dnll = np.array([1.5, -0.5])
    doutputs, dparameters = backward(dnll)
    found, total = [], 0.0
    sums = {"location": 0.0, "thresholds": 0.0}
    for likelihood, columns, own_outputs, own in entries:
        part, part_backward = likelihood.negative_log_likelihood(
            OPS, own_outputs, X[:, columns], own, True, observed[:, columns]
        )
        total = total + part
        found += likelihood.losses_by_variable(OPS, own_outputs, X[:, columns], own, observed[:, columns])
        np.testing.assert_allclose(mean[:, columns], likelihood.mean(OPS, own_outputs, own), rtol=1e-12)
        by_outputs, by_own = part_backward(dnll)
        sums["location"] += sum(np.abs(d).sum() for d in by_outputs)
        sums["thresholds"] += sum(np.abs(d).sum() for d in by_own.values())
        for i in {4, 15} & set(range(columns.start, columns.stop)):
            wanted = sum(
                w * points[:, i - columns.start] ** 2 for w, points in likelihood.quadrature(OPS, own_outputs, own)
            )
            np.testing.assert_allclose(curved[:, i], wanted, rtol=1e-12)
    np.testing.assert_allclose(nll, total, rtol=1e-12)
    assert [v.start for v in table.variables(23)] == sorted(v.start for v in table.variables(23)) and len(
        losses
    ) == len(found)
    np.testing.assert_allclose(losses, found, rtol=1e-12, atol=1e-14)
    assert sum(np.abs(d).sum() for d in doutputs) == pytest.approx(sums["location"], rel=1e-12)
    assert sum(np.abs(d).sum() for d in dparameters.values()) == pytest.approx(sums["thresholds"], rel=1e-12)
    table.check_data(X)
    drawn = table.draw(outputs, parameters, random.Stream(0, "data sample", 0))
    table.check_data(drawn)
    wrong = X.copy()
    wrong[1, 16] = np.nan
    wrong[1, 8] = 2.5
    with pytest.raises(InputError, match=r"2.5 in column 8 \(row 1\)"):
        table.check_data(wrong)


def test_lists_of_ends():
    likelihood = likelihoods.Bounded([0.0, None], [1.0, 2.0], [0.25, 0.5])
    assert likelihoods.get({"name": "bounded", **likelihood.config()}) == likelihood
    with pytest.raises(InputError, match="must have as many entries, got 2 low, 1 high"):
        likelihoods.Bounded([0.0, 0.0], [1.0])
    with pytest.raises(InputError, match="has low, high and step for 2 columns, but X has 3"):
        likelihood.heads(3)
    with pytest.raises(InputError, match="low is empty"):
        likelihoods.Bounded([])
    with pytest.raises(InputError, match="each of step must be finite and above 0, got 0.0"):
        likelihoods.Bounded(step=[0.5, 0.0])
    with pytest.raises(InputError, match="whole number of steps, got low=0, high=2.3, step=0.5"):
        likelihoods.Bounded(0.0, [1.0, 2.3], 0.5)
