"""npvae through its public training loop."""

from __future__ import annotations

from peers.spec import EPSILON, RATE, RHO, initial_weights

from npvae import Architecture, Model, __version__
from npvae import backend as backends
from npvae.optim import RMSprop
from npvae.training import TrainingSettings, train
from npvae.training.loop import initial_state


def version() -> str:
    return __version__


class Runner:
    """One epoch more of the same run at every call."""

    backend: str

    def __init__(self, spec, x) -> None:
        self.spec = spec
        architecture = Architecture(spec.inputs, spec.latent, spec.hidden, activation=spec.activation)
        self.model = Model(architecture, backends.get(self.backend))
        self.x = self.model.ops.asarray(x)
        self.state = initial_state(self.model, self.settings(1))
        views = self.model.views(self.state.theta)
        for layer, W in zip(architecture.dense_layers(), initial_weights(spec), strict=True):
            views[layer.W][...] = self.model.ops.asarray(W)

    def settings(self, epochs: int) -> TrainingSettings:
        return TrainingSettings(
            seed=0, epochs=epochs, batch_size=self.spec.batch, learning_rate=RATE, optimizer=RMSprop(RHO, EPSILON)
        )

    def epoch(self) -> float:
        self.state.stop_reason = None
        train(self.model, self.settings(self.state.epoch + 1), self.x, state=self.state)
        return self.state.history["loss"][-1]
