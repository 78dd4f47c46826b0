"""Mutation testing: one-line faults put into the sources, and the tests that should notice them. See mutants.py."""
