"""Python imports this at its start where the folder is on its path: coverage in the processes that tests start."""

import os

if os.environ.get("MUTATION_TEST") and os.environ.get("COVERAGE_PROCESS_START"):
    import coverage

    coverage.process_startup()
