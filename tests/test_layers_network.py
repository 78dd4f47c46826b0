"""Networks: hidden layers, heads side by side and linear paths beside them, against their formula and differences."""

from __future__ import annotations

import numpy as np
import pytest

from npvae import check_gradient
from npvae.backend.base import Ops
from npvae.mathematics.layers import network as network_module
from npvae.mathematics.layers.network import DenseLayer, LinearPath, chain, heads, hidden_layers, network

OPS = Ops(np)


def make(inputs: int, widths, paths):
    """``(hidden, heads, paths, parameters)``: two heads of 2 and 3 outputs; paths: whether each has one."""
    rng = np.random.default_rng(0)
    hidden = chain("net", inputs, widths, "tanh")
    width = widths[-1] if widths else inputs
    outputs = [DenseLayer("a", width, 2), DenseLayer("b", width, 3, "softplus")]
    beside = (
        [
            LinearPath(f"path/{head.name}", inputs, head.outputs) if there else None
            for head, there in zip(outputs, paths, strict=True)
        ]
        if paths
        else ()
    )
    layers = [*hidden, *outputs, *filter(None, beside)]
    assert [layer.size() for layer in layers] == [
        sum(int(np.prod(shape)) for shape in layer.shapes().values()) for layer in layers
    ]
    return (
        hidden,
        outputs,
        beside,
        {name: rng.standard_normal(shape) for layer in layers for name, shape in layer.shapes().items()},
    )


def by_formula(x, widths, paths, p):
    h = x
    for i in range(len(widths)):
        h = np.tanh(h @ p[f"net/{i}/W"] + p[f"net/{i}/b"])
    a, b = h @ p["a/W"] + p["a/b"], np.log1p(np.exp(h @ p["b/W"] + p["b/b"]))
    first, second = paths or (False, False)
    return (a + x @ p["path/a/V"] if first else a), (b + x @ p["path/b/V"] if second else b)


CASES = [
    (inputs, widths, paths)
    for inputs in (3, 1)
    for widths in ((), (4,), (4, 2))
    for paths in ((), (True, True), (True, False), (False, True), (False, False))
]


@pytest.mark.parametrize(("inputs", "widths", "paths"), CASES)
def test_outputs_and_gradient(inputs, widths, paths):
    hidden, outputs, beside, parameters = make(inputs, widths, paths)
    x, up = (
        np.random.default_rng(1).standard_normal((5, inputs)),
        [np.random.default_rng(2).standard_normal((5, n)) for n in (2, 3)],
    )
    names = list(parameters)

    def function(x, *tensors):
        given = dict(zip(names, tensors, strict=True))
        found, backward = network(OPS, given, x, hidden, outputs, True, beside)
        for output, wanted in zip(found, by_formula(x, widths, paths, given), strict=True):
            np.testing.assert_allclose(output, wanted, rtol=1e-12)

        def gradients(dloss=1.0):
            into = {name: np.full_like(tensor, np.nan) for name, tensor in given.items()}
            dx = backward(tuple(dloss * d for d in up), into)
            return dx, *into.values()

        return sum(np.vdot(d, output) for d, output in zip(up, found, strict=True)), gradients

    check_gradient(function, [x, *parameters.values()], names=["x", *names])


@pytest.mark.parametrize("need_dx", [True, False])
@pytest.mark.parametrize(
    ("widths", "paths"), [((4,), ()), ((), (True,) * 4), ((4, 2), (True, False, True, True)), ((4,), (False,) * 4)]
)
def test_many_heads_by_one_product_are_as_by_one_each(monkeypatch, widths, paths, need_dx):
    rng, width = np.random.default_rng(0), widths[-1] if widths else 3
    hidden, outputs = (
        chain("net", 3, widths, "tanh"),
        [DenseLayer(f"h{i}", width, n) for i, n in enumerate((2, 1, 3, 2))],
    )
    beside = (
        [
            LinearPath(f"path/{i}", 3, head.outputs) if there else None
            for i, (head, there) in enumerate(zip(outputs, paths, strict=True))
        ]
        if paths
        else ()
    )
    layers = [*hidden, *outputs, *filter(None, beside)]
    parameters = {name: rng.standard_normal(shape) for layer in layers for name, shape in layer.shapes().items()}
    x, up, products, found = rng.standard_normal((5, 3)), [rng.standard_normal((5, n)) for n in (2, 1, 3, 2)], [], []
    forward = OPS.dense_forward
    monkeypatch.setattr(OPS, "dense_forward", lambda *given: products.append(1) or forward(*given))
    for many in (4, 5):
        monkeypatch.setattr(network_module, "MANY_HEADS", many)
        products.clear()
        y, backward = network(OPS, parameters, x, hidden, outputs, need_dx, beside)
        into = {name: np.full_like(value, np.nan) for name, value in parameters.items()}
        found.append([*y, *filter(lambda dx: dx is not None, [backward(tuple(up), into)]), *into.values()])
        assert len(products) == len(hidden) + (1 if many == 4 else 4 + sum(map(bool, paths)))
    assert len(found[0]) == len(found[1]) == 4 + need_dx + len(parameters)
    for joined, apart in zip(*found, strict=True):
        np.testing.assert_allclose(joined, apart, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("widths", "paths"), [((), ()), ((4,), ()), ((4, 2), ()), ((4,), (True, True)), ((4, 2), (False, True))]
)
def test_the_gradient_by_the_data_is_left_out_where_nobody_needs_it(monkeypatch, widths, paths):
    """Of the first hidden layer, or of heads without one, and of linear paths; what is behind them is needed."""
    hidden, outputs, beside, parameters = make(3, widths, paths)
    asked, backward_of = [], OPS.dense_backward

    def noted(dy, x, y, W, activation, need_dx, out):
        asked.append((W.shape[0], need_dx))
        return backward_of(dy, x, y, W, activation, need_dx, out)

    monkeypatch.setattr(OPS, "dense_backward", noted)
    x, into = np.ones((5, 3)), {name: np.full_like(value, np.nan) for name, value in parameters.items()}
    found, backward = network(OPS, parameters, x, hidden, outputs, False, beside)
    assert backward(tuple(np.ones_like(output) for output in found), into) is None
    assert all(np.isfinite(value).all() for value in into.values())
    assert asked and all(need is (width != 3) for width, need in asked)


def test_parts_by_themselves():
    hidden, outputs, _, parameters = make(3, (4, 2), ())
    x = np.random.default_rng(1).standard_normal((5, 3))
    nothing, backward = hidden_layers(OPS, parameters, x, [], True)
    assert nothing is x and backward(x, {}) is x
    into = {name: np.zeros_like(value) for name, value in parameters.items()}
    h, backward = hidden_layers(OPS, parameters, x, hidden, False)
    assert backward(np.ones_like(h), into) is None and into["net/0/W"].any()
    made, backward = heads(OPS, parameters, h, outputs, False)
    assert backward(tuple(map(np.ones_like, made)), into) is None and into["b/W"].any()
    assert [(layer.name, layer.inputs, layer.outputs, layer.activation) for layer in chain("n", 7, (5, 6), "relu")] == [
        ("n/0", 7, 5, "relu"),
        ("n/1", 5, 6, "relu"),
    ]
