"""A VAE of a table, ``VAE(likelihood="auto")``: what stands between a table and the numbers that a model is trained on.

configuration   the arguments of "auto"
choices         the model and the training that suit so many rows and columns
preparation     from a table to a run
rows            a fitted table: rows to numbers, numbers to rows; and its part of the model's file
frame           which kind of table came, and one of that kind again
latents         from which z synthetic rows are drawn
marginals       columns of numbers as they were recorded
combinations    columns that depend on each other, as they were recorded together
given           rows of which some columns are given
nearness        how near synthetic rows are to the rows that were trained on
mixin           the hooks of the estimator
"""

from __future__ import annotations

from npvae.estimators.tables.vae.mixin import TableHooks

__all__ = ["TableHooks"]
