"""The CUDA sources, compiled by CuPy on first use."""
