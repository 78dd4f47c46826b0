"""What the campaign of kills runs: npvae, telling its steps to a pipe.

    python tests/tools/killed.py PIPE train ...         a command line
    python tests/tools/killed.py PIPE fit CHECKPOINT BACKEND

Beside what they do, lines are written to the file descriptor PIPE: ``step KEY NUMBER`` when a step of the training KEY
has been taken, and ``done`` when the outputs are there. A line costs microseconds, and no result depends on it.
"""

from __future__ import annotations

import os
import sys

import numpy as np

PIPE = int(sys.argv[1])


def tell_steps() -> None:
    """Wrap what takes the steps, of every backend."""
    from npvae.training.steps import Stepper

    take = Stepper.take

    def told(self, epoch, state, index):
        taken = take(self, epoch, state, index)
        settings = self._settings
        os.write(PIPE, f"step {settings.seed}-{type(self._model).__name__} {state.step}\n".encode())
        return taken

    Stepper.take = told


def fit(checkpoint: str, backend: str) -> None:
    """A fit with early stopping and drawn pixels, and its model beside its checkpoint."""
    from npvae import VAE, load_dataset

    x = load_dataset("digits").x_train[:200]
    vae = VAE(
        latent_dim=3,
        hidden=(20,),
        epochs=40,
        divide_by=255,
        binarize="static",
        optimizer="adam",
        validation_fraction=0.2,
        patience=30,
        batch_size=20,
        random_state=1,
        backend=backend,
    )
    vae.fit(x, checkpoint=checkpoint, checkpoint_seconds=0, resume=True)
    vae.save(os.path.join(os.path.dirname(checkpoint), "model.npz"))
    np.save(os.path.join(os.path.dirname(checkpoint), "z.npy"), vae.transform(x))


if __name__ == "__main__":
    tell_steps()
    code = 0
    if sys.argv[2] == "fit":
        fit(*sys.argv[3:])
    else:
        from npvae.cli import main

        code = main(sys.argv[2:])
    os.write(PIPE, b"done\n")
    sys.exit(code)
