"""Checking gradients.

checker, problem, finite_differences    the checker, for any function of arrays: NumPy and npvae's errors, nothing else
own_gradients                           npvae's own gradients, as its cases
"""

from __future__ import annotations

from npvae.gradcheck.checker import GradientReport, TensorReport, check_gradient, numerical_gradient

__all__ = ["GradientReport", "TensorReport", "check_gradient", "numerical_gradient"]
