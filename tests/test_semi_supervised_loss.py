"""The loss of M2: against loops over Python floats, its gradient against finite differences, labelled and unlabelled
parts apart.
"""

import json
import math

import numpy as np
import pytest

from npvae import backend, check_gradient
from npvae.backend.base import Ops
from npvae.errors import InputError, InputTypeError
from npvae.estimators.semisupervised import SemiSupervisedArchitecture, SemiSupervisedModel
from npvae.mathematics.objectives import SemiSupervised, semi_supervised_loss
from npvae.mathematics.objectives.semi_supervised import labelled_first

CLASSES, FEATURES, LATENT = 4, 5, 3
PRIOR = (0.1, 0.2, 0.3, 0.4)


def problem(labels, hidden=(6, 4), likelihood="bernoulli", seed=0, **more):
    """``(model, theta, batch, eps)``; labels: -1 for none."""
    rng = np.random.default_rng(seed)
    architecture = SemiSupervisedArchitecture(
        FEATURES,
        LATENT,
        hidden,
        activation="softplus",
        likelihood=likelihood,
        n_classes=CLASSES,
        class_prior=PRIOR,
        **more,
    )
    model = SemiSupervisedModel(architecture, backend.get("numpy"))
    theta = model.initial_parameters(0, "float64") + 0.3 * rng.standard_normal(model.layout.size)
    x = rng.standard_normal((len(labels), FEATURES))
    x = (x > 0).astype(float) if likelihood == "bernoulli" else x
    return (
        model,
        theta,
        np.concatenate([x, np.array(labels, float)[:, None]], axis=1),
        rng.standard_normal((len(x), LATENT)),
    )


# The same by loops


def dense(parameters, name, x, f=lambda a: a):
    W, b = parameters[f"{name}/W"].tolist(), parameters[f"{name}/b"].tolist()
    return [f(math.fsum(v * W[i][j] for i, v in enumerate(x)) + b[j]) for j in range(len(b))]


def softplus(a):
    return max(a, 0.0) + math.log1p(math.exp(-abs(a)))


def log_softmax(logits):
    total = math.log(math.fsum(math.exp(v) for v in logits))
    return [v - total for v in logits]


def bound_of_pair(parameters, x, y, eps, beta, seen=None):
    """-L(x, y): one sample of z. seen: by the encoder in the place of x, of which NaN is missing."""
    one_hot = [float(c == y) for c in range(CLASSES)]
    h = dense(parameters, "encoder/1", dense(parameters, "encoder/0", (seen or x) + one_hot, softplus), softplus)
    mu, logvar = dense(parameters, "encoder/mean", h), dense(parameters, "encoder/logvar", h)
    z = [m + math.exp(v / 2) * e for m, v, e in zip(mu, logvar, eps, strict=True)]
    h = dense(parameters, "decoder/1", dense(parameters, "decoder/0", z + one_hot, softplus), softplus)
    nll = math.fsum(
        softplus(logit) - v * logit
        for logit, v in zip(dense(parameters, "decoder/logits", h), x, strict=True)
        if v == v
    )
    kl = math.fsum((m * m + math.exp(v) - 1.0 - v) / 2 for m, v in zip(mu, logvar, strict=True))
    return nll + beta * kl - math.log(PRIOR[y])


def by_loops(parameters, batch, eps, beta, weight):
    total = 0.0
    for (*row, label), noise in zip(batch.tolist(), eps.tolist(), strict=True):
        x, completed = row[:FEATURES], row[FEATURES:]
        seen = completed + [float(v == v) for v in x] if completed else x
        log_q = log_softmax(
            dense(
                parameters,
                "classifier/logits",
                dense(parameters, "classifier/1", dense(parameters, "classifier/0", seen, softplus), softplus),
            )
        )
        if label >= 0:
            total += bound_of_pair(parameters, x, int(label), noise, beta, seen) - weight * log_q[int(label)]
        else:
            total += math.fsum(
                math.exp(lq) * (bound_of_pair(parameters, x, c, noise, beta, seen) + lq) for c, lq in enumerate(log_q)
            )
    return total / len(batch)


MIXED, ALL, NONE = (-1, 2, 0, -1, -1, 3, 1), (0, 3, 2, 2, 1), (-1, -1, -1)


@pytest.mark.parametrize("labels", [MIXED, ALL, NONE, (1,), (-1,)])
def test_the_loss_is_that_of_loops(labels):
    model, theta, batch, eps = problem(labels)
    terms, _ = semi_supervised_loss(model, theta, batch, eps, 0.7, 1.3)
    expected = by_loops(model.layout.views(np, theta), batch, eps, 0.7, 1.3)
    assert float(terms.loss) == pytest.approx(expected, rel=1e-12)
    plain, _ = semi_supervised_loss(model, theta, batch, eps, 1.0, 0.0)
    assert float(plain.bound) == pytest.approx(-float(plain.loss), rel=1e-12)
    assert float(terms.reconstruction) == pytest.approx(float(terms.nll_rows.mean()), rel=1e-12)
    assert terms.kl_rows.shape == terms.mu.shape == eps.shape and float(terms.kl) == pytest.approx(
        float(terms.kl_rows.sum()) / len(eps)
    )


def with_gaps(batch, seed=1):
    """A batch of which a third of the entries are missing, one row has none and one has all, beside what completes
    it.
    """
    rng = np.random.default_rng(seed)
    x, gone = batch[:, :-1].copy(), rng.random((len(batch), FEATURES)) < 0.35
    gone[0], gone[-1] = True, False
    x[gone] = np.nan
    return np.concatenate([x, rng.standard_normal(x.shape), batch[:, -1:]], axis=1)


@pytest.mark.parametrize("labels", [MIXED, ALL, NONE])
def test_what_is_missing_is_in_no_likelihood_and_both_networks_see_what_completes_it(labels):
    model, theta, batch, eps = problem(labels, missing=True, completed=True)
    batch, views = with_gaps(batch), model.layout.views(np, theta)
    terms, _ = semi_supervised_loss(model, theta, batch, eps, 0.7, 1.3)
    assert float(terms.loss) == pytest.approx(by_loops(views, batch, eps, 0.7, 1.3), rel=1e-12)

    def function(*tensors):
        terms, backward = semi_supervised_loss(
            model, np.concatenate([tensor.reshape(-1) for tensor in tensors]), batch, eps, 0.7, 1.3
        )
        return terms.loss, tuple(model.layout.views(np, backward()).values())

    check_gradient(function, list(views.values()), names=list(views))


def test_which_entries_are_observed_has_no_weight_at_first():
    model, _, _, _ = problem(MIXED, missing=True, completed=True)
    views = model.layout.views(np, model.initial_parameters(0, "float64"))
    for name, after in (("encoder/0/W", CLASSES), ("classifier/0/W", 0)):
        seen, observed, classes = np.split(views[name], [FEATURES, 2 * FEATURES])
        assert seen.all() and not observed.any() and classes.all() and len(classes) == after


@pytest.mark.parametrize("labels", [MIXED, ALL, NONE, (1,), (-1,), (2, 0, -1), (-1, 3, 3)])
def test_the_terms_of_rows_are_those_of_loops(labels):
    """In the order that begins with the labelled rows; of an unlabelled one expected under q(y|x)."""
    model, theta, batch, eps = problem(labels)
    terms, _ = semi_supervised_loss(model, theta, batch, eps, 0.7, 1.3)
    parameters = model.layout.views(np, theta)
    order = sorted(range(len(labels)), key=lambda i: labels[i] < 0)
    wanted, wrong, cross_entropy = [], 0, 0.0
    for i in order:
        x, noise = batch[i, :-1].tolist(), eps[i].tolist()
        log_q = log_softmax(
            dense(
                parameters,
                "classifier/logits",
                dense(parameters, "classifier/1", dense(parameters, "classifier/0", x, softplus), softplus),
            )
        )
        if labels[i] >= 0:
            wrong += log_q[labels[i]] < max(log_q)
            cross_entropy -= log_q[labels[i]]
        mean = 0.0
        for c, share in [(labels[i], 1.0)] if labels[i] >= 0 else [(c, math.exp(lq)) for c, lq in enumerate(log_q)]:
            one_hot = [float(c == k) for k in range(CLASSES)]
            h = dense(parameters, "encoder/1", dense(parameters, "encoder/0", x + one_hot, softplus), softplus)
            mu, logvar = (
                np.array(dense(parameters, "encoder/mean", h)),
                np.array(dense(parameters, "encoder/logvar", h)),
            )
            kl = (mu**2 + np.exp(logvar) - 1.0 - logvar) / 2
            nll = bound_of_pair(parameters, x, c, noise, 0.0) + math.log(PRIOR[c])
            mean = mean + share * np.array([*mu, *kl, nll])
        wanted.append(mean)
    wanted = np.array(wanted)
    np.testing.assert_allclose(terms.mu, wanted[:, :LATENT], rtol=1e-11)
    np.testing.assert_allclose(terms.kl_rows, wanted[:, LATENT:-1], rtol=1e-11)
    np.testing.assert_allclose(terms.nll_rows, wanted[:, -1], rtol=1e-11)
    assert float(terms.reconstruction) == pytest.approx(wanted[:, -1].mean(), rel=1e-12)
    known, found_wrong, found_cross_entropy = terms.labelled
    assert (known, int(found_wrong)) == (sum(label >= 0 for label in labels), wrong)
    assert float(found_cross_entropy) == pytest.approx(cross_entropy, rel=1e-12)


def test_the_bound_is_that_of_beta_1_without_the_classifier_s_term():
    for labels in (MIXED, ALL, NONE):
        model, theta, batch, eps = problem(labels)
        bound = by_loops(model.layout.views(np, theta), batch, eps, 1.0, 0.0)
        for beta, weight in ((1.0, 0.0), (0.7, 1.3), (0.0, 5.0)):
            assert float(semi_supervised_loss(model, theta, batch, eps, beta, weight)[0].bound) == pytest.approx(
                -bound, rel=1e-11
            )


@pytest.mark.parametrize("labels", [MIXED, ALL, NONE])
@pytest.mark.parametrize("hidden", [(6, 4), (5,), ()])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_decoder", "gaussian_per_feature", "squared_error"])
def test_the_gradient_is_that_of_differences(labels, hidden, likelihood):
    model, theta, batch, eps = problem(labels, hidden, likelihood, classifier_hidden=(3,))
    views = model.layout.views(np, theta)

    def function(*tensors):
        flat = np.concatenate([tensor.reshape(-1) for tensor in tensors])
        terms, backward = semi_supervised_loss(model, flat, batch, eps, 0.7, 1.3)
        return terms.loss, tuple(model.layout.views(np, backward()).values())

    check_gradient(function, list(views.values()), names=list(views))


@pytest.mark.parametrize("labels", [MIXED, ALL, NONE])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian_decoder", "gaussian_per_feature", "student_t"])
def test_loss_and_gradient_equal_automatic_differentiation(labels, likelihood):
    autograd = pytest.importorskip("autograd")
    import autodiff

    for hidden in ((6, 4), ()):
        model, theta, batch, eps = problem(labels, hidden, likelihood, classifier_hidden=(3,))
        terms, backward = semi_supervised_loss(model, theta, batch, eps, 0.7, 1.3)
        wanted, slope = autograd.value_and_grad(
            lambda t: autodiff.semi_supervised_loss(model.architecture, t, batch, eps, 0.7, 1.3)  # noqa: B023
        )(theta)
        assert float(terms.loss) == pytest.approx(float(wanted), rel=1e-13)
        np.testing.assert_allclose(backward(), slope, rtol=1e-9, atol=1e-13 * float(np.abs(slope).max()))


def test_an_upstream_gradient_scales_it_and_out_is_overwritten():
    model, theta, batch, eps = problem(MIXED)
    _, backward = semi_supervised_loss(model, theta, batch, eps)
    once, out = backward(), np.full(model.layout.size, np.nan)
    assert backward(3.0, out) is out
    np.testing.assert_allclose(out, 3.0 * once, rtol=1e-9, atol=1e-12)


def test_the_order_of_rows_does_not_matter():
    model, theta, batch, eps = problem(MIXED)
    order = np.array([4, 1, 6, 0, 5, 2, 3])
    losses, gradients = zip(
        *(
            (float(terms.loss), backward())
            for terms, backward in (semi_supervised_loss(model, theta, batch[o], eps[o]) for o in (slice(None), order))
        ),
        strict=True,
    )
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    np.testing.assert_allclose(*gradients, rtol=1e-9, atol=1e-12)


def test_labelled_rows_are_those_of_which_every_batch_has_its_share():
    model, _, batch, _ = problem(MIXED, likelihood="squared_error")
    assert SemiSupervised().spread(model, batch).tolist() == [label >= 0 for label in MIXED]


def test_many_rows_keep_their_labels_and_noise():
    """The order that begins with the labelled rows is that of the batch otherwise."""
    labels = np.random.default_rng(3).integers(-1, CLASSES, 300)
    model, theta, batch, eps = problem(labels)
    order = np.concatenate([np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)])
    x, its_eps, pairs = labelled_first(model, batch, eps)
    np.testing.assert_array_equal(x, batch[order, :-1])
    np.testing.assert_array_equal(its_eps, eps[order])
    assert (
        pairs.labelled == (labels >= 0).sum()
        and pairs.one_hot_labels.argmax(axis=1).tolist() == labels[labels >= 0].tolist()
    )


def test_the_product_with_x_is_taken_once_a_row(monkeypatch):
    model, theta, batch, eps = problem(MIXED)
    rows, forward = [], model.ops.dense_forward

    def counted(x, W, b, activation):
        if W.shape[0] == FEATURES:
            rows.append(x.shape[0])
        return forward(x, W, b, activation)

    monkeypatch.setattr(model.ops, "dense_forward", counted)
    semi_supervised_loss(model, theta, batch, eps)
    assert rows == [len(batch), len(batch)]  # the classifier's, and the encoder's


@pytest.mark.parametrize("labels", [MIXED, ALL, NONE])
def test_it_runs_on_any_array_api_module(labels):
    strict = pytest.importorskip("array_api_strict")
    model, theta, batch, eps = problem(labels)
    terms, backward = semi_supervised_loss(model, theta, batch, eps)
    ops = Ops(strict)
    on_strict = SemiSupervisedModel(model.architecture, ops)
    other, other_backward = semi_supervised_loss(on_strict, *map(ops.asarray, (theta, batch, eps)))
    assert float(other.loss) == pytest.approx(float(terms.loss), rel=1e-12)
    np.testing.assert_allclose(ops.to_numpy(other_backward()), backward(), rtol=1e-10, atol=1e-13)


def test_large_logits_overflow_nowhere():
    model, theta, batch, eps = problem(MIXED)
    theta = theta.astype(np.float32)
    model.views(theta)["classifier/logits/b"][...] = (0.0, 200.0, -200.0, 0.0)
    terms, backward = semi_supervised_loss(model, theta, batch.astype(np.float32), eps.astype(np.float32))
    assert np.isfinite(terms.loss) and np.isfinite(backward()).all()


def test_without_a_prior_all_classes_are_alike():
    for prior, wanted in ((None, [0.25] * 4), (PRIOR, PRIOR)):
        architecture = SemiSupervisedArchitecture(3, 2, (4,), n_classes=CLASSES, class_prior=prior)
        np.testing.assert_allclose(architecture.log_prior(), np.log(wanted), rtol=1e-15)
        again = SemiSupervisedArchitecture.from_config(json.loads(json.dumps(architecture.config())))
        assert again == architecture and again.class_prior == prior and again.classifier_hidden == (4,)
        assert (architecture.data_columns, architecture.encoder_inputs, architecture.decoder_inputs) == (4, 7, 6)
    model, theta, batch, eps = problem(MIXED)
    alike, given = (
        SemiSupervisedModel(
            SemiSupervisedArchitecture(
                FEATURES, LATENT, (6, 4), activation="softplus", n_classes=CLASSES, class_prior=prior
            ),
            Ops(np),
        )
        for prior in (None, (0.25,) * 4)
    )
    losses = [float(semi_supervised_loss(each, theta, batch, eps)[0].loss) for each in (alike, given)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-14)


def test_what_is_refused():
    model, theta, batch, eps = problem(MIXED)
    with pytest.raises(InputError, match="x must"):
        semi_supervised_loss(model, theta, batch[:, :-1], eps)
    with pytest.raises(InputError, match="classifier_weight"):
        SemiSupervised(-1.0)
    for arguments, words in (
        ({"n_classes": 1}, "n_classes"),
        ({"n_classes": 2, "class_prior": (0.5, 0.6)}, "class_prior"),
        ({"n_classes": 2, "class_prior": (0.5,)}, "class_prior"),
        ({"n_classes": 2, "linear_path": True}, "linear_path"),
    ):
        with pytest.raises(InputError, match=words):
            SemiSupervisedArchitecture(3, **arguments)
    with pytest.raises(InputTypeError, match="class_prior"):
        SemiSupervisedArchitecture(3, n_classes=2, class_prior="ab")
