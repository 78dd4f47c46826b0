"""Where a dense layer's weights and biases start: uniform on (-r, r), and how long r is.

    rule      weights                    biases
    glorot    r = sqrt(6 / (in + out))   0          signals keep their size forwards and gradients backwards, on average
    he        r = sqrt(6 / in)           0          signals keep their size through relu
    fan_in    r = 1 / sqrt(in)           the same   smaller; what torch.nn.Linear does, for runs that are to begin like
                                                    its

Sources: Glorot & Bengio (2010), "Understanding the difficulty of training deep networks", eq. 16; He, Zhang, Ren & Sun
(2015), "Delving deep into rectifiers", eq. 10, as a uniform distribution of that variance, 2 / in.
"""

from __future__ import annotations

import math

RULES = ("glorot", "he", "fan_in")


def limits(rule: str, inputs: int, outputs: int) -> tuple[float, float]:
    """r of the weights, and of the biases."""
    if rule == "glorot":
        return math.sqrt(6.0 / (inputs + outputs)), 0.0
    if rule == "he":
        return math.sqrt(6.0 / inputs), 0.0
    return (1.0 / math.sqrt(inputs),) * 2
