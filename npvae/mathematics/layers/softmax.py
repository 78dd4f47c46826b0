"""The logarithm of the softmax, which no logit can overflow.

    log p_j = l_j - log sum_k exp(l_k)            l (B, C), by row

Its gradients are written out where it is used: of -log p_y by the logits it is p - onehot(y), and of M2's bound see
objectives/semi_supervised.py.

The largest logit of a row is taken out first, so exp sees numbers <= 0 alone.
"""

from __future__ import annotations


def log_softmax(xp, logits):
    """log p, (B, C), of logits (B, C)."""
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
