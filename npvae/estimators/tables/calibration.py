"""Levels that keep their word: how a level that is asked for becomes the one that draws have to be cut at, by cells
held out.

A cell held out has M draws of members that have not been trained on it. With r of them at or below it and s at or above
it,

    below = (r + u) / (M + 1)       above = (s + u) / (M + 1)       u uniform

and it lies outside the k-th draws from either side if below < k / (M + 1), or above. Both are uniform where draws are
distributed as cells are; a is the share of cells that an end may miss, and the end is where the a-quantile of what was
found says, each side for itself:

    H = (n H_column + w H_table) / (n + w)        H_table = (m H_all + w U) / (m + w)        end(a) = H^-1(a)

n cells of the column, m of all columns of its group (more than FEW_VALUES values, or not), U the uniform distribution,
w = WEIGHT: a column of few cells has the table's levels, and a table of few those that were asked for. This is
conformal prediction with ranks among draws as scores. Of sets the score is 1 - v, v the share of draws of more frequent
values and u times that of its own.

Whose draws: a cell that one member holds out has been trained on by others, so just the members that hold it out answer
for it, as do the trees of a forest for what was not in their bag. Most cells have one member's draws, and those of all
members lie better and are wider: normal scores z = Phi^-1(score) of cells are nearer to 0 among the draws of more
members. Cells that two members hold out say how much, and as the variance of a mean of h members has the part 1 / h
that they do not share,

    z of J members = z of h members * (1 - 2 b (1 - 1 / J)) / (1 - 2 b (1 - 1 / h))
    1 - b          = rms(z of two) / rms(z of one)

b is shrunk to 0 as if WEIGHT further cells had found no difference. It is of all columns of more than FEW_VALUES
values, and for them.

Sources: Vovk, Gammerman & Shafer (2005); Romano, Patterson & Candes (2019) for ends of their own; Kim, Xu & Barber
(2020) for members; Romano, Sesia & Candes (2020) for sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from npvae.data.tables.kinds import normal_quantiles
from npvae.errors import InputError, ModelFileError
from npvae.mathematics import random
from npvae.support.fields import ListOf, Maybe, Real, Record

#: Columns of more different values have intervals, and no sets.
FEW_VALUES = 20
#: Shares of cells for which the quantiles are kept; straight between.
SHARES = (
    0.0,
    0.0025,
    0.005,
    0.01,
    0.015,
    0.02,
    0.025,
    0.03,
    0.04,
    0.05,
    0.06,
    0.075,
    0.1,
    0.125,
    0.15,
    0.2,
    0.25,
    0.3,
    0.35,
    0.4,
    0.45,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    1.0,
)
#: Cells that the table's quantiles count for beside a column's own, and uniform ones beside the table's.
WEIGHT = 50.0
#: Draws of a cell held out, and samples of z they come from, of one member.
DRAWS, SAMPLES = 100, 500
#: Sides that have quantiles.
SIDES = ("below", "above", "sets")

_QUANTILES = Maybe(ListOf(Real(minimum=0.0, maximum=1.0), shortest=len(SHARES), longest=len(SHARES)))
#: Of one column: the quantiles of each side by ``SHARES``; None: it has no such side.
COLUMN = Record(dict.fromkeys(SIDES, _QUANTILES))


def share_of_draws(column: dict | None, side: str, share: float) -> float:
    """The share of draws to leave out at a side, so that ``share`` of the cells are; column: as of
    :func:`calibrate`, None for the same.
    """
    quantiles = None if column is None else column[side]
    return share if quantiles is None else float(np.interp(share, SHARES, quantiles))


def checked(columns: list[dict] | None, of: list) -> list[dict] | None:
    """What a file has for these columns. ModelFileError: it does not fit them, or quantiles are not in order."""
    if columns is None:
        return None
    if len(columns) != len(of):
        raise ModelFileError(f"it has the calibration of {len(columns)} columns, but {len(of)} columns")
    for column, entry in zip(of, columns, strict=True):
        if any(quantiles is not None and np.diff(quantiles).min() < 0.0 for quantiles in entry.values()):
            raise ModelFileError(f"the calibration of column {column.name!r} is not in order")
    return columns


def shrunk_quantiles(scores: list[np.ndarray]) -> list[np.ndarray]:
    """By column the quantiles of scores (n,) for ``SHARES``, shrunk to those of all columns, and these to the
    uniform distribution's.
    """
    together = np.concatenate([*scores, np.zeros(0)])
    uniform = (np.arange(200) + 0.5) / 200
    found = []
    for mine in scores:
        values = np.concatenate([mine, together, uniform])
        of_table = WEIGHT / (len(together) + WEIGHT)
        weights = np.repeat([1.0, of_table, WEIGHT * of_table / len(uniform)], [len(mine), len(together), len(uniform)])
        order = np.argsort(values, kind="stable")
        values, weights = values[order], weights[order]
        reached = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
        found.append(np.interp(SHARES, np.concatenate([[0.0], reached, [1.0]]), np.concatenate([[0.0], values, [1.0]])))
    return found


def scores_of_ends(cells: np.ndarray, drawn: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``(below, above)`` of cells (n,) among their draws (M, n), for uniform u (n,)."""
    return tuple((at_most.sum(axis=0) + u) / (len(drawn) + 1) for at_most in (drawn <= cells, drawn >= cells))


def scores_of_sets(cells: np.ndarray, drawn: np.ndarray, u: np.ndarray) -> np.ndarray:
    """1 - v of cells (n,) that are numbered values from 0, as are their draws (M, n), for uniform u (n,)."""
    count = int(max(cells.max(initial=0), drawn.max(initial=0))) + 1
    shares = np.stack([(drawn == value).mean(axis=0) for value in range(count)], axis=1)
    own = shares[np.arange(len(cells)), cells][:, None]
    # Of values as frequent the lower ones come first, as in a set.
    before = (shares > own) | ((shares == own) & (np.arange(count) < cells[:, None]))
    return 1.0 - (shares * before).sum(axis=1) - u * own[:, 0]


def calibrate(
    x: np.ndarray, schema, members: list, hidden: Callable, seeds: list[int], most_rows: int | None = None
) -> list[dict]:
    """Of every column of the schema, as ``COLUMN`` says, the quantiles of cells that members have held out,
    deterministic by their seeds.

    x: (N, D) with NaN, what the members were trained on; hidden(i): which entries, (N, D), member i has held out;
    most_rows: of each member, None for all.
    """
    answers: list[list] = [[] for _ in schema.columns]  # by column, of every member: rows and the draws of their cells
    for i, (member, seed) in enumerate(zip(members, seeds, strict=True)):
        out = hidden(i)
        rows = np.flatnonzero(out.any(axis=1))[:most_rows]
        try:
            own = random.seed_for_part(seed, "calibration", 0)
            found = member.impute(np.where(out[rows], np.nan, x[rows]), own, SAMPLES, DRAWS, members=len(members))
        except InputError:  # of a row that is out of range, which filling in refuses by its number
            continue
        for column, block, mine in zip(schema.columns, schema.slices, answers, strict=True):
            here = np.flatnonzero(out[rows, block.start])
            if len(here):
                with np.errstate(all="ignore"):  # a draw that is not finite is refused where it is an answer
                    mine.append((rows[here], np.stack([column.decode(draw[here, block]) for draw in found.draws])))
    scores = [
        _scores(x[:, block], column, mine, seeds[0], i)
        for i, (column, block, mine) in enumerate(zip(schema.columns, schema.slices, answers, strict=True), 1)
    ]
    many = [(mine, told) for few, mine, told in scores if not few and "below" in mine]
    _among_all([mine for mine, _ in many], [told for _, told in many], len(members))
    found = [dict.fromkeys(SIDES) for _ in schema.columns]
    for side in SIDES:
        for few in (False, True):
            group = [i for i, (is_few, mine, _) in enumerate(scores) if is_few == few and side in mine]
            for i, quantiles in zip(group, shrunk_quantiles([scores[i][1][side] for i in group]), strict=True):
                found[i][side] = np.round(quantiles, 6).tolist()
    return found


def gain_of_two(one: np.ndarray, two: np.ndarray) -> float:
    """b, from 0 to a fifth, of the scores of cells among the draws of either of two members, (2, n), and of both,
    (n,).
    """
    before = float(np.square(_normal_scores(one)).mean(axis=0).sum())
    after = float(np.square(_normal_scores(two)).sum())
    return min(0.2, max(0.0, 1.0 - math.sqrt((after + WEIGHT) / (before + WEIGHT))))


def among_more(scores: np.ndarray, holders: np.ndarray, members: int, gain: float) -> np.ndarray:
    """Scores (n,) among the draws of so many holders, (n,), as they would be among those of all members."""
    factor = (1.0 - 2.0 * gain * (1.0 - 1.0 / members)) / (1.0 - 2.0 * gain * (1.0 - 1.0 / holders))
    z = factor * _normal_scores(scores)
    tail = np.exp(normal_quantiles.log_upper_tail(np.abs(z)))
    return np.where(z < 0.0, tail, 1.0 - tail)


def _normal_scores(scores: np.ndarray) -> np.ndarray:
    return normal_quantiles.quantile(np.clip(scores, 1e-9, 1.0 - 1e-9))


def _among_all(scores: list[dict], told: list[dict], members: int) -> None:
    """Change the scores of the ends of columns, by side, to those among all members' draws."""
    if members == 1 or not scores:
        return
    gain = gain_of_two(*(np.concatenate([each[name] for each in told], axis=-1) for name in ("one", "two")))
    for mine, each in zip(scores, told, strict=True):
        for side in SIDES[:2]:
            mine[side] = among_more(mine[side], each["holders"], members, gain)


def _scores(x, column, answers, seed: int, number: int) -> tuple[bool, dict, dict]:
    """Whether the column has few values, the scores of its cells by side, and how many members hold them out; of cells
    that two do also the scores of both ends by "one" of them alone, (2, 2 n), and by "two", (2 n,)."""
    values = column.decode(x[~np.isnan(x[:, 0])])
    kinds = sorted(set(values.tolist()), key=lambda value: (isinstance(value, str), value))
    few = len(kinds) <= FEW_VALUES
    sides = (SIDES[:2] if column.is_numeric else ()) + (SIDES[2:] if few else ())
    found: dict = {side: [] for side in sides}
    told = {"holders": np.zeros(0), "one": np.zeros((2, 0)), "two": np.zeros(0)}
    rows = np.concatenate([where for where, _ in answers]) if answers else np.zeros(0, int)
    places, which = np.unique(rows, return_inverse=True)
    u = random.uniform(seed, "calibration", number, (len(places),))
    draws_of = np.concatenate([draws for _, draws in answers], axis=1) if answers else np.zeros((DRAWS, 0))
    count = np.bincount(which, minlength=len(places))
    for holders in np.unique(count):  # cells that so many members have held out
        some = np.flatnonzero(count == holders)
        order = np.argsort(which, kind="stable")
        order = order[np.isin(which[order], some)].reshape(len(some), holders)
        drawn = draws_of[:, order].transpose(2, 0, 1).reshape(-1, len(some))
        cells = column.decode(x[places[some]])
        if column.is_numeric:
            told["holders"] = np.append(told["holders"], np.full(len(some), holders))
            for side, each in zip(SIDES, scores_of_ends(cells, drawn, u[some]), strict=False):
                found[side].append(each)
            if holders == 2:
                told["two"] = np.concatenate([found[side][-1] for side in SIDES[:2]])
                told["one"] = np.stack(
                    [np.concatenate(scores_of_ends(cells, half, u[some])) for half in np.split(drawn, 2)]
                )
        if few:
            found["sets"].append(scores_of_sets(_numbered(cells, kinds), _numbered(drawn, kinds), u[some]))
    return few, {side: np.concatenate([*parts, np.zeros(0)]) for side, parts in found.items()}, told


def _numbered(values: np.ndarray, kinds: list) -> np.ndarray:
    """At which places values of any shape are among the kinds; those that are none of them behind all."""
    known = {value: i for i, value in enumerate(kinds)}
    return np.fromiter((known.get(value, len(kinds)) for value in values.ravel().tolist()), int, values.size).reshape(
        values.shape
    )
