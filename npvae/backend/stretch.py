"""What a backend's training program answers: see ``training_program`` in base.py."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Stretch:
    """What a call came to."""

    done: int  #: steps taken; fewer than asked for where the next one's loss or gradient is not finite
    losses: np.ndarray  #: (done,), in nats a row
    norms: np.ndarray  #: (done,), lengths of the gradients before clipping
