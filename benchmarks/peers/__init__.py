"""The same training run in npvae and in the frameworks it is compared with, one file each.

Each file has a class ``Runner(spec, x)`` with ``epoch()``, which shuffles, trains one epoch and returns its mean
loss in nats a row. All do the same work: float32, a new shuffle, new noise and one RMSprop update
a step (rho 0.9, rate 1e-3, epsilon 1e-7), every step's loss summed on the way.
"""
