"""Check the hand-written gradient of a layer of your own, and see a wrong one caught."""

import argparse

import numpy as np

from npvae import check_gradient, numerical_gradient
from npvae.errors import GradientCheckError

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", help="taken, as by every example; without effect here, where nothing is trained")
parser.parse_args()


def layer_norm(x, gain):
    """y = gain * (x - mean) / std over each row, and its backward."""
    centred = x - x.mean(axis=1, keepdims=True)
    rstd = 1.0 / np.sqrt((centred**2).mean(axis=1, keepdims=True))
    normal = centred * rstd

    def backward(dy):
        dnormal = dy * gain
        dx = rstd * (
            dnormal - dnormal.mean(axis=1, keepdims=True) - normal * (dnormal * normal).mean(axis=1, keepdims=True)
        )
        return dx, (dy * normal).sum(axis=0)

    return gain * normal, backward


def layer_norm_wrong(x, gain):
    """The same, with the third term of dx forgotten."""
    y, _ = layer_norm(x, gain)
    normal = y / gain
    rstd = 1.0 / x.std(axis=1, keepdims=True)

    def wrong_backward(dy):
        dnormal = dy * gain
        return rstd * (dnormal - dnormal.mean(axis=1, keepdims=True)), (dy * normal).sum(axis=0)

    return y, wrong_backward


rng = np.random.default_rng(0)
x, gain = rng.standard_normal((4, 6)), rng.uniform(0.5, 2.0, 6)

print("right:")
print(check_gradient(layer_norm, [x, gain]))

print("\nwrong:")
try:
    check_gradient(layer_norm_wrong, [x, gain])
except GradientCheckError as error:
    print(error)

print("\nthe derivative of x^3 at 1, 2, 3:", numerical_gradient(lambda x: x**3, [np.array([1.0, 2.0, 3.0])])[0])
