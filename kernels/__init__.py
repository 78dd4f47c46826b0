"""Compiled kernels, installed as ``npvae.kernels``: one file for each compiler.

A kernel file is self-contained and imports nothing from npvae, so that it can be read, compiled and
tested alone. The arithmetic each kernel must reproduce is written in ``npvae/layers``,
``npvae/likelihoods`` and ``npvae/optim``; ``npvae/backend`` decides which kernel runs.
"""
