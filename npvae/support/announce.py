"""Telling the user of something that takes a while, or was decided without them."""

from __future__ import annotations

import sys


def announce(text: str) -> None:
    """Print a line on standard error."""
    print(f"npvae: {text}", file=sys.stderr, flush=True)
