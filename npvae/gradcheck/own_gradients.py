"""Every hand-written gradient of npvae, as cases for the gradient checker: what ``npvae gradcheck`` runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from npvae import backend as backends
from npvae.fused import trainer_for
from npvae.gradcheck.checker import GradientReport, check_gradient
from npvae.mathematics import likelihoods, objectives, random
from npvae.mathematics.layers import activations
from npvae.mathematics.layers.dense import dense
from npvae.mathematics.layers.kl import kl_divergence
from npvae.mathematics.layers.sampling import sample
from npvae.mathematics.model import Architecture, Model
from npvae.mathematics.semi_supervised import SemiSupervisedArchitecture, SemiSupervisedModel
from npvae.training.settings import TrainingSettings


@dataclass(frozen=True)
class Case:
    """A function and the point at which its gradient is checked."""

    title: str
    function: Callable
    inputs: dict[str, np.ndarray]
    rtol: float = 1e-6

    def check(self, seed: int = 0) -> GradientReport:
        """The report, pass or fail."""
        return check_gradient(
            self.function,
            list(self.inputs.values()),
            names=list(self.inputs),
            rtol=self.rtol,
            seed=seed,
            raise_on_failure=False,
        )


def cases(ops=None, seed: int = 0) -> Iterator[Case]:
    """All cases: layers, likelihoods, small models element by element, the 784-256-2 model at full size."""
    ops = ops or backends.get("numpy")
    generator = np.random.default_rng(seed)
    yield from layer_cases(ops, generator)
    for kind in likelihoods.KNOWN.values():
        yield likelihood_case(ops, kind.example(4), generator)
    for i, kind in enumerate(likelihoods.KNOWN.values()):
        activation = activations.NAMES[i % len(activations.NAMES)]
        architecture = Architecture(5, 3, (6, 4), activation=activation, likelihood=kind.example(5))
        title = f"negative ELBO, 5-6-4-3, {activation}, {kind.name}"
        yield model_case(ops, architecture, generator, rows=4, beta=0.7, title=title)
        wider = Architecture(
            5, 3, (9, 7), activation=activation, likelihood=kind.example(5)
        )  # along directions: faster
        yield bound_case(ops, wider, generator, rows=4, samples=3, beta=0.7)
        for objective in (objectives.ELBO(), objectives.ImportanceWeighted(3)):
            fused = fused_case(ops, architecture, generator, rows=4, beta=0.7, objective=objective)
            if fused is not None:
                yield fused
    for title, labels in (("labelled rows", (0, 2, 1)), ("unlabelled rows", (-1, -1)), ("both", (-1, 2, 0, -1))):
        yield semi_supervised_case(ops, labels, generator, title)
    architecture = Architecture(784, 2, (256,))
    yield model_case(ops, architecture, generator, rows=16, rtol=1e-7, title="negative ELBO, 784-256-2, full size")


def layer_cases(ops, generator) -> Iterator[Case]:
    """Dense layers with every activation, the sample, the KL divergence."""
    normal = generator.standard_normal
    for activation in activations.NAMES:
        yield Case(
            f"dense layer, {activation}",
            lambda x, W, b, activation=activation: dense(ops, x, W, b, activation),
            {"x": normal((5, 4)), "W": normal((4, 3)), "b": normal(3)},
        )
    eps = normal((5, 3))
    yield Case(
        "sample z", lambda mu, logvar: sample(ops, mu, logvar, eps), {"mu": normal((5, 3)), "logvar": normal((5, 3))}
    )
    yield Case(
        "KL divergence",
        lambda mu, logvar: kl_divergence(ops, mu, logvar),
        {"mu": normal((5, 3)), "logvar": normal((5, 3))},
    )


def likelihood_case(ops, likelihood, generator, rows: int = 5, n_features: int = 4) -> Case:
    """-log p(x|z) by the heads and by the likelihood's own parameters."""
    heads = {name: generator.standard_normal((rows, width)) for name, width in likelihood.heads(n_features).items()}
    own = {
        name: value + generator.standard_normal(value.shape)
        for name, value in likelihood.parameters(n_features).items()
    }
    x = draw_data(likelihood, generator, rows, n_features)

    def function(*arrays):
        outputs, values = arrays[: len(heads)], arrays[len(heads) :]
        nll, backward = likelihood.negative_log_likelihood(ops, outputs, x, dict(zip(own, values, strict=True)))

        def flat_backward(dnll):
            doutputs, dparameters = backward(dnll)
            return (*doutputs, *(dparameters[name] for name in own))

        return nll, flat_backward

    return Case(f"likelihood, {likelihood.name}", function, {**heads, **own})


def model_case(
    ops, architecture, generator, rows: int, beta: float = 1.0, rtol: float = 1e-6, title: str = "", theta=None, x=None
) -> Case:
    """The negative ELBO by every named tensor of theta, with the noise held."""
    model = Model(architecture, ops)
    if theta is None:
        theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    if x is None:
        x = _draw_rows(architecture, generator, rows)
    eps = generator.standard_normal((len(x), architecture.latent_dim))
    views = model.layout.views(np, theta)

    def function(*tensors):
        flat = np.concatenate([tensor.reshape(-1) for tensor in tensors])
        loss, dtheta = objectives.value_and_gradient(model, flat, x, eps, beta)
        return loss, tuple(model.layout.views(np, dtheta).values())

    return Case(title, function, views, rtol)


def bound_case(ops, architecture, generator, rows: int, samples: int, beta: float) -> Case:
    """The importance-weighted bound by theta: the standard estimator, which is the gradient of what is computed."""
    model = Model(architecture, ops)
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    x = _draw_rows(architecture, generator, rows)
    eps = generator.standard_normal((samples, rows, architecture.latent_dim))

    def function(theta):
        terms, backward = objectives.importance_weighted_loss(model, theta, x, eps, beta)
        return terms.loss, (backward(),)

    return Case(
        f"importance-weighted bound, {samples} samples, {architecture.likelihood.name}", function, {"theta": theta}
    )


def semi_supervised_case(ops, labels, generator, rows: str) -> Case:
    """The loss of the semi-supervised model M2 by every named tensor of theta, for rows with those labels, -1 for
    none.
    """
    architecture = SemiSupervisedArchitecture(
        5,
        2,
        (6, 4),
        activation="softplus",
        likelihood=likelihoods.GaussianDecoder(),
        n_classes=3,
        class_prior=(0.2, 0.3, 0.5),
    )
    model = SemiSupervisedModel(architecture, ops)
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    batch = np.concatenate([generator.standard_normal((len(labels), 5)), np.array(labels, float)[:, None]], axis=1)
    eps = generator.standard_normal((len(labels), 2))

    def function(*tensors):
        flat = np.concatenate([tensor.reshape(-1) for tensor in tensors])
        terms, backward = objectives.semi_supervised_loss(model, flat, batch, eps, 0.7, 1.5)
        return terms.loss, tuple(model.layout.views(np, backward()).values())

    return Case(f"M2, {rows}, 5-6-4-2, 3 classes", function, model.layout.views(np, theta))


def fused_case(ops, architecture, generator, rows: int, beta: float, objective) -> Case | None:
    """The gradient of the fused training step, if there is one for this backend, model and objective.

    It draws its own noise, a function of the step: the same every time.
    """
    model = Model(architecture, ops)
    x = ops.asarray(_draw_rows(architecture, generator, rows))
    settings = TrainingSettings(seed=0, batch_size=rows, objective=objective)
    trainer = trainer_for(ops, model, settings, x)
    if trainer is None:
        return None
    theta = model.initial_parameters(0, "float64") + 0.1 * generator.standard_normal(model.layout.size)
    order = np.arange(rows)

    def function(*tensors):
        flat = np.concatenate([tensor.reshape(-1) for tensor in tensors])
        gradient = np.empty_like(flat)
        taken = trainer.take_gradient(flat, gradient, order, 0, 0, beta)
        return taken.losses[0], tuple(model.layout.views(np, gradient).values())

    sizes = "-".join(map(str, (architecture.n_features, *architecture.hidden, architecture.latent_dim)))
    bound = "" if objective == objectives.ELBO() else f", {objective.samples} samples"
    title = f"fused training step{bound}, {sizes}, {architecture.activation}, {architecture.likelihood.name}"
    return Case(title, function, model.layout.views(np, theta))


def _draw_rows(architecture, generator, rows: int) -> np.ndarray:
    """Rows of data from p(x|z), beside them what the encoder sees of them where it does not see them as they are."""
    x = draw_data(architecture.likelihood, generator, rows, architecture.n_features)
    return np.concatenate([x, generator.standard_normal(x.shape)], axis=1) if architecture.completed else x


def draw_data(likelihood, generator, rows: int, n_features: int) -> np.ndarray:
    """Random data that the likelihood accepts: drawn from it, or grey values where it takes those too."""
    outputs = tuple(0.5 * generator.standard_normal((rows, width)) for width in likelihood.heads(n_features).values())
    stream = random.Stream(0, "data sample", int(generator.integers(2**31)))
    x = likelihood.draw(outputs, likelihood.parameters(n_features), stream)
    try:
        grey = generator.random((rows, n_features))
        likelihood.check_data(grey)
    except ValueError:
        return x
    return grey if set(np.unique(x)) <= {0.0, 1.0} else x
