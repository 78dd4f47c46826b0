"""The kinds of a table's columns: how a column's values become numbers that a likelihood can produce, and back.

    kind          numbers x                               likelihood             best guess           typical columns
    continuous    (v - mean) / deviation                  gaussian_decoder       expected value       measurements
    positive      (log v - mean) / deviation              gaussian_decoder       expected value       amounts, times
    counts        v                                       negative_binomial      expected value       0, 1, 2, ...
    bounded       (v - mean) / deviation                  bounded                expected value       shares; often 0
    shaped        normal score of v                       gaussian_decoder, or   expected value       several humps
                                                          bounded, with ends
    ordinal       cumulative indicators                   ordinal                the likeliest value  grades, answers
    binary        0 for the first value, 1 for the other  bernoulli              the likelier value   two values
    categorical   one-hot, a column a value               categorical            the likeliest value  names

Which one a column is of: evidence.py. What is expected is that of v, not of x, given what is observed (Table.mean, by
quadrature over the curve from x to v). Guesses and draws have as many decimals as the column. ``center``, ``scale`` and
``log1p`` are of what the encoder sees of x. Dates are numbers of days (times.py). Which columns are modelled at all:
carried.py.
"""

from npvae.data.tables.kinds.base import Column
from npvae.data.tables.kinds.fit import decisions, fit_column
from npvae.data.tables.kinds.table import KINDS, from_config

__all__ = ["KINDS", "Column", "decisions", "fit_column", "from_config"]
