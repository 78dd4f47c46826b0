"""The parts of tests/tools/fuzz.py."""
