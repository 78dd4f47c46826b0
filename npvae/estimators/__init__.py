"""Everything with ``fit``: one estimator a file or a folder."""
