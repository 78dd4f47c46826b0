"""Checking gradients: the checker (checker, problem, finite_differences: NumPy and npvae's errors, nothing else), and npvae's own."""

from __future__ import annotations

from npvae.gradcheck.checker import GradientReport, TensorReport, check_gradient, numerical_gradient

__all__ = ["GradientReport", "TensorReport", "check_gradient", "numerical_gradient"]
