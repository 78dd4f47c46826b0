"""npvae through its public training loop."""

from __future__ import annotations

import queue
import threading

from npvae import Architecture, Model, __version__
from npvae import backend as backends
from npvae.mathematics.objectives import ImportanceWeighted
from npvae.mathematics.optimizers import RMSprop
from npvae.training import TrainingSettings, train
from npvae.training.loop import initial_state
from peers.spec import EPSILON, RATE, RHO, initial_weights


def version() -> str:
    return __version__


class HeldRun:
    """One run, held between epochs: every call of ``epoch`` lets it go on for one more, as a user's run would."""

    def __init__(self, model, settings, x, state) -> None:
        self._go, self._losses = queue.Queue(), queue.Queue()

        def wait(state) -> None:
            self._losses.put(state.history["loss"][-1])
            self._go.get()

        def run() -> None:
            self._go.get()
            try:
                train(model, settings, x, state=state, callbacks=[wait])
            except Exception as error:  # or whoever waits for a loss would do so for ever
                self._losses.put(error)

        threading.Thread(target=run, daemon=True).start()

    def epoch(self) -> float:
        self._go.put(None)
        loss = self._losses.get()
        if isinstance(loss, Exception):
            raise loss
        return loss


class Runner(HeldRun):
    """The model of a spec."""

    backend: str | dict

    def __init__(self, spec, x) -> None:
        architecture = Architecture(spec.inputs, spec.latent, spec.hidden, activation=spec.activation)
        model = Model(architecture, backends.get(self.backend))
        settings = TrainingSettings(
            seed=0,
            epochs=10**9,
            batch_size=spec.batch,
            learning_rate=RATE,
            optimizer=RMSprop(RHO, EPSILON),
            objective=ImportanceWeighted(spec.samples) if spec.samples else "elbo",
        )
        state = initial_state(model, settings, x)
        views = model.views(state.theta)
        for layer, W in zip(architecture.dense_layers(), initial_weights(spec), strict=True):
            views[layer.W][...] = model.ops.asarray(W)
        super().__init__(model, settings, model.ops.asarray(x), state)
