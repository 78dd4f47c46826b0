"""The logarithm of the softmax, which no logit can overflow.

    log p_j = l_j - log sum_k exp(l_k)            l (B, C), by row

    dl_j = d_j - p_j sum_k d_k                    for dL/dlog p = d

The largest logit of a row is taken out first, so exp sees numbers <= 0 alone.
"""

from __future__ import annotations


def log_softmax(xp, logits):
    """log p, (B, C), of logits (B, C)."""
    shifted = logits - xp.max(logits, axis=1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))


def log_softmax_backward(xp, d, log_p):
    """dlogits, (B, C), of dL/dlog p."""
    return d - xp.exp(log_p) * xp.sum(d, axis=1, keepdims=True)
