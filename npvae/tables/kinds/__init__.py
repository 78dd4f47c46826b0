"""The kinds of a table's columns: how a column's values become numbers that a likelihood can produce, and back.

    kind          numbers x                               likelihood          best guess           typical columns
    continuous    (v - mean) / deviation                  gaussian_decoder    expected value       measurements
    positive      (log v - mean) / deviation              gaussian_decoder    expected value       amounts, times
    counts        v                                       poisson             expected value       0, 1, 2, ...
    binary        0 for the first value, 1 for the other  bernoulli           the likelier value   two values
    categorical   one-hot, a column a value               categorical         the likeliest value  several values

``center`` and ``scale`` turn a kind's numbers into ones of about unit size, which is what the encoder sees; they are 0 and 1
but for counts. Guesses and draws have as many decimals as the column. Dates are numbers of days (times.py). Which columns are
modelled at all: carried.py.
"""

from npvae.tables.kinds.base import Column
from npvae.tables.kinds.fit import decisions, fit_column
from npvae.tables.kinds.table import KINDS, from_config

__all__ = ["KINDS", "Column", "decisions", "fit_column", "from_config"]
