"""Which kind a column of numbers is of: evidence, not a guess. All rules stand here; ``kinds`` and --kind overrule
them.

    kind          is a candidate if
    continuous    always
    positive      all numbers are above 0
    counts        whole numbers from 0 whose variance is not below the mean: under-dispersed ones count nothing
    bounded       SHARE_OF_END of the cells are at the smallest or the largest number, or it is a scale from 0 to 1 or
                  to 100; and not much more would be
    ordinal       at most MOST_LEVELS different numbers, each in FEWEST_OF_LEVEL cells on average
    categorical   at most MOST_CODES of them
    shaped        more than MOST_CODES different numbers in FEWEST_SHAPED cells and more

The candidates compete by the probability of recorded cells that they have not been fitted to, given what a linear model
says of them from the other columns (predicted.py, candidates.py): nats a cell, mean over the cells. Whoever is behind
the best by at most TIE, or by two standard errors of the difference, ties with it; of those the plainest is taken, in
the order of the table below, and the others are its rivals: for them about as much speaks.

Columns of two values are binary, of texts categorical; in fewer than FEWEST cells there is no evidence, and whole
numbers from 0 are counts if their variance is between mean and three times the mean, others continuous.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npvae.data.tables.kinds import candidates
from npvae.data.tables.kinds.ends import SHARE_OF_END, ends_of
from npvae.data.tables.kinds.predicted import entries_of, indicators_of, predictions, some_rows
from npvae.data.tables.kinds.reading import decimals_of

MOST_LEVELS, MOST_CODES, FEWEST_OF_LEVEL = 20, 10, 5
FEWEST, FEWEST_SHAPED, TIE = 40, 60, 0.05
#: Plainest first: of at most MOST_CODES different numbers that recur, and of others.
FEW = ("counts", "ordinal", "continuous", "positive", "categorical")
MANY = ("continuous", "counts", "positive", "ordinal", "bounded", "shaped")
#: Of counts the variance in means: at least, whatever the standard error, and at most, where there is no evidence.
LEAST_DISPERSION, LARGEST_DISPERSION = 0.7, 3.0
#: Cells are recorded to as many decimals as this share of them has: a few with more do not make all of them finer.
MOST_CELLS = 0.8
#: Nats a cell by which a kind has to be ahead besides: a bent axis bends what was a straight line between columns.
HANDICAPS = {"shaped": 0.05}
#: The same of few different values: what is not among them can be answered by the others.
HANDICAPS_OF_FEW = {"continuous": 0.2, "positive": 0.2}
_FITTER = dict.fromkeys(HANDICAPS_OF_FEW, "answers by its own values alone")
#: Times its share, and SHARE_OF_END, that an end may be expected to have.
MOST_AT_END = 1.5
#: What any value within the range is given of probability, at least, so that a single cell does not decide.
SHARE_OF_ANY = 1e-3
#: Columns of 1, the prediction by numbers as they are, that by normal scores: what a kind is linear in.
PREDICTED_BY = {
    **dict.fromkeys(("continuous", "bounded"), [0, 1]),
    **dict.fromkeys(("positive", "shaped"), [0, 2]),
    **dict.fromkeys(("counts", "ordinal", "categorical"), [0, 1, 2]),
}


@dataclass(frozen=True)
class Decision:
    """A kind, what speaks for it in words, and kinds for which about as much speaks."""

    kind: str
    why: str = ""
    rivals: tuple[str, ...] = ()


#: Why a column has its kind where the time was over.
NO_TIME = "no time for evidence"


@dataclass(frozen=True)
class Asked:
    """A column of a table: numbers v (N,) with NaN, or None and places (N,) among values of names and which are there;
    open: whether its kind is to be decided, and not only that of others with its help."""

    v: np.ndarray | None
    places: np.ndarray | None = None
    there: np.ndarray | None = None
    open: bool = False

    @property
    def numbers(self) -> np.ndarray:
        """``v``, of a column of numbers."""
        assert self.v is not None
        return self.v


def decide(columns: list[Asked], enough: Callable | None = None) -> list[Decision | None]:
    """The kinds of the open ones among a table's columns. enough: says before a column that there is no time to ask
    for evidence.
    """
    result: list = [None] * len(columns)
    wanted = []
    for i, column in enumerate(columns):
        if column.open:
            result[i] = without_evidence(column.numbers[~np.isnan(column.numbers)])
            wanted += [i] if result[i] is None else []
    if not wanted:
        return result
    rows = some_rows(len(columns[wanted[0]].numbers))
    names = [
        indicators_of(c.places[rows], c.there[rows]) for c in columns if c.places is not None and c.there is not None
    ]
    predicted = predictions([None if c.v is None else entries_of(c.v[rows]) for c in columns], names)
    for i in wanted:
        late = enough is not None and enough()
        own, by_others = columns[i].numbers, predicted[i]
        assert by_others is not None
        result[i] = _plain(own[~np.isnan(own)], NO_TIME) if late else _by_evidence(own, rows, by_others)
    return result


def without_evidence(v: np.ndarray) -> Decision | None:
    """The kind of numbers v (n,) about which nothing needs to be asked, or too few are there to be asked; None: ask."""
    count = len(np.unique(v[:1000]))
    count = len(np.unique(v)) if count <= 2 else count
    if count == 2:
        return Decision("binary", "two values")
    if len(v) >= FEWEST:
        return None
    return _plain(v, f"only {len(v)} cells, too few for evidence")


def _plain(v: np.ndarray, why: str) -> Decision:
    """The kind of numbers v (n,) for which no other is asked."""
    if may_be_counts(v) and v.var() <= LARGEST_DISPERSION * v.mean():
        return Decision("counts", why)
    return Decision("continuous", why)


def may_be_counts(v: np.ndarray) -> bool:
    """Whether numbers v (n,) are whole, from 0, and not under-dispersed: the variance of Poisson counts is the mean,
    give or take its standard error, sqrt(2 / n) of it."""
    least = max(LEAST_DISPERSION, 1.0 - 3.0 * np.sqrt(2.0 / len(v)))
    return bool((v == np.rint(v)).all() and v.min() >= 0.0 and v.var() >= least * v.mean())


def _by_evidence(v: np.ndarray, rows: np.ndarray, predicted: np.ndarray) -> Decision:
    seen, here = v[~np.isnan(v)], ~np.isnan(v[rows])
    values, some = np.unique(seen), v[rows][here]
    z = np.concatenate([np.ones((len(some), 1)), predicted[here]], axis=1)
    halves = [np.arange(len(some)) % 2 == half for half in (0, 1)]
    if min(len(np.unique(some[train])) for train in halves) < 2:
        return Decision("continuous", "hardly any cell differs from the others")
    usual = decimals_of(seen, MOST_CELLS)
    half = 0.5 * 10.0**-usual if usual is not None else candidates.FINEST * float(seen.std())
    recur = len(seen) >= FEWEST_OF_LEVEL * len(values)
    codes, ends = recur and len(values) <= MOST_CODES, ends_of(seen)
    allowed = {
        "continuous": True,
        "positive": values[0] > 0.0,
        "shaped": len(seen) >= FEWEST_SHAPED,
        "bounded": ends != (None, None),
        "counts": may_be_counts(seen),
        "ordinal": recur and len(values) <= MOST_LEVELS,
        "categorical": codes,
    }
    known, handicaps = (FEW, HANDICAPS_OF_FEW) if codes else (MANY, HANDICAPS)
    order = [kind for kind in known if allowed[kind]]
    if "bounded" in order and _crowds_an_end(some, half, z[:, PREDICTED_BY["bounded"]], halves, ends):
        order.remove("bounded")
    any_value = np.log(SHARE_OF_ANY * min(1.0, 2.0 * half / (values[-1] - values[0] + 2.0 * half)))
    found = {}
    for kind in order:
        log_p = np.empty(len(some))
        for train in halves:
            log_p[~train] = _log_probabilities(kind, some, half, z[:, PREDICTED_BY[kind]], train, ends, values)[~train]
        log_p = np.where(np.isnan(log_p), -np.inf, log_p)
        found[kind] = np.logaddexp(np.log1p(-SHARE_OF_ANY) + log_p, any_value)
    return _chosen(found, handicaps)


def _crowds_an_end(v, half, z, halves, ends) -> bool:
    """Whether a bounded column would be at an end much more often than numbers v (n,) are: one that grows towards
    its end.
    """
    for end in ends:
        if end is not None:
            shares = [
                np.exp(
                    _log_probabilities("bounded", np.where(train, v, end), half, z, train, ends, None)[~train]
                ).mean()
                for train in halves
            ]
            if np.mean(shares) > MOST_AT_END * (v == end).mean() + SHARE_OF_END:
                return True
    return False


@np.errstate(all="ignore")  # what is not finite is no evidence
def _log_probabilities(kind, v, half, z, train, ends, values):
    if kind in ("ordinal", "categorical"):
        return candidates.by_levels(np.searchsorted(values, v), len(values), z, train, kind == "ordinal")
    if kind == "counts":
        return candidates.by_counts(v, z, train)
    if kind == "bounded":
        low, high = ends
        return candidates.by_bounded(
            v, half, z, train, (-np.inf if low is None else low, np.inf if high is None else high)
        )
    return candidates.by_normal(kind, v, half, z, train)


def _chosen(found: dict[str, np.ndarray], handicaps: dict[str, float]) -> Decision:
    """The plainest of those that tie with the best; found: log-probabilities (n,) by kind, the plainest first."""
    judged = {kind: log_p - handicaps.get(kind, 0.0) for kind, log_p in found.items()}
    best = max(judged, key=lambda kind: judged[kind].mean())
    ties = []
    for kind, log_p in judged.items():
        behind = judged[best] - log_p
        if behind.mean() <= max(TIE, 2.0 * behind.std() / np.sqrt(len(behind))):
            ties.append(kind)
    kind, rivals = ties[0], tuple(ties[1:])
    others = [other for other in found if other not in ties]
    if not others:
        return Decision(kind, "the plainest of those that fit" if rivals else "the only one that is possible", rivals)
    other = max(others, key=lambda each: judged[each].mean())
    ahead = found[kind].mean() - found[other].mean()
    words = (
        f"{ahead:.2g} nats a cell ahead of {other}"
        if ahead >= 0.01
        else f"about as good as {other}, and {_FITTER.get(other, 'plainer')}"
    )
    return Decision(kind, words, rivals)
