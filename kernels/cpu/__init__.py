"""The program for the CPU, compiled by Numba and kept as machine code."""
