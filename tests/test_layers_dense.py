"""The dense layer: product, bias, activation, and the three gradients."""

import naive
import numpy as np
import pytest

from npvae.errors import InputError, InputTypeError
from npvae.gradcheck.checker import check_gradient
from npvae.mathematics.layers import activations, network
from npvae.mathematics.layers.dense import dense

#: Rows, inputs, outputs: empty, one, odd, wide, tall; the last is large enough for pooled memory.
SIZES = [(0, 3, 2), (1, 1, 1), (5, 3, 4), (3, 1, 301), (257, 20, 3), (129, 9, 37)]

every_activation = pytest.mark.parametrize("activation", activations.NAMES)


def arrays(rng, dtype, rows, inputs, outputs):
    """x, W, b, dy."""
    shapes = [(rows, inputs), (inputs, outputs), (outputs,), (rows, outputs)]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@every_activation
@pytest.mark.parametrize("sizes", SIZES)
def test_forward_and_backward_are_the_definition(ops, dtype, rng, sizes, activation):
    x, W, b, dy = arrays(rng, dtype, *sizes)
    y, backward = dense(ops, x, W, b, activation)
    gradients = backward(dy)
    wanted_y = np.reshape(naive.dense(x, W, b, activation), y.shape)
    # One rounding a product: an absolute tolerance that grows with the length of the sum.
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, wanted_y, rtol=tolerance, atol=tolerance * 4 * sizes[1])
    for found, wanted, length in zip(
        gradients, naive.dense_gradients(dy, x, W, b, activation), (sizes[2], sizes[0], sizes[0]), strict=True
    ):
        assert found.dtype == dtype
        wanted = np.reshape(wanted, found.shape)
        np.testing.assert_allclose(found, wanted, rtol=16 * tolerance, atol=tolerance * 16 * max(length, 1))
    assert [g.shape for g in gradients] == [x.shape, W.shape, b.shape]


@every_activation
def test_gradient(ops, rng, activation):
    x, W, b, _ = arrays(rng, np.float64, 7, 5, 5)
    check_gradient(lambda x, W, b: dense(ops, x, W, b, activation), [x, W, b])


@every_activation
def test_float32_backward_is_float64_backward(ops, rng, activation):
    x, W, b, dy = arrays(rng, np.float32, 60, 20, 30)
    wanted = dense(ops, *(a.astype(np.float64) for a in (x, W, b)), activation)[1](dy.astype(np.float64))
    for found, exact in zip(dense(ops, x, W, b, activation)[1](dy), wanted, strict=True):
        assert found.dtype == np.float32
        assert np.linalg.norm(found - exact) <= 1e-5 * np.linalg.norm(exact)


def test_without_dx(ops, rng):
    x, W, b, dy = arrays(rng, np.float64, 5, 3, 4)
    dx, dW, db = dense(ops, x, W, b, "tanh", need_dx=False)[1](dy)
    full = dense(ops, x, W, b, "tanh")[1](dy)
    assert dx is None
    np.testing.assert_array_equal(dW, full[1])
    np.testing.assert_array_equal(db, full[2])


@every_activation
def test_out_is_overwritten_and_returned(ops, dtype, rng, activation):
    x, W, b, dy = arrays(rng, dtype, 5, 3, 4)
    _, backward = dense(ops, x, W, b, activation)
    fresh = backward(dy)
    # Views of one flat vector, as the model hands them in.
    flat = np.full(W.size + b.size, np.nan, dtype)
    dW, db = flat[: W.size].reshape(W.shape), flat[W.size :]
    for _ in range(2):
        result = backward(dy, out=(dW, db))
        assert result[1] is dW and result[2] is db
        for found, wanted in zip(result, fresh, strict=True):
            np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(flat, np.concatenate([fresh[1].ravel(), fresh[2]]))


@pytest.mark.parametrize("rows", [0, 1])
def test_gradients_of_no_rows_are_zero(ops, dtype, rows):
    x, dy = np.zeros((rows, 3), dtype), np.zeros((rows, 2), dtype)
    out = (np.full((3, 2), 7.0, dtype), np.full(2, 7.0, dtype))
    y, backward = dense(ops, x, np.ones((3, 2), dtype), np.ones(2, dtype))
    dx, dW, db = backward(dy, out=out)
    assert y.shape == (rows, 2) and dx.shape == (rows, 3)
    assert not dW.any() and not db.any()


@every_activation
def test_outputs_share_no_memory_with_inputs_and_inputs_stay(ops, dtype, rng, activation):
    x, W, b, dy = arrays(rng, dtype, 40, 30, 30)
    before = [a.copy() for a in (x, W, b, dy)]
    y, backward = dense(ops, x, W, b, activation)
    y_before = y.copy()
    results = [y, *backward(dy)]
    for i, result in enumerate(results):
        assert not any(np.shares_memory(result, a) for a in (x, W, b, dy))
        assert not any(np.shares_memory(result, other) for other in results[:i])
    for now, then in zip((x, W, b, dy, y), (*before, y_before), strict=True):
        np.testing.assert_array_equal(now, then)


@every_activation
def test_strided_inputs_equal_their_copies(ops, dtype, rng, activation):
    x, W, b, dy = arrays(rng, dtype, 12, 10, 14)
    cases = [
        (x[:, ::2], W[::2], b, dy),
        (x[::2], W[:, ::2], b[::2], dy[::2, ::2]),
        (np.asfortranarray(x), np.asfortranarray(W), b, np.asfortranarray(dy)),
        (x[::-1, ::-1], W[::-1, ::-1], b[::-1], dy[::-1, ::-1]),
    ]
    tolerance = 16 * np.finfo(dtype).eps
    for x_, W_, b_, dy_ in cases:
        y, backward = dense(ops, x_, W_, b_, activation)
        y_copy, backward_copy = dense(ops, x_.copy(), W_.copy(), b_.copy(), activation)
        for found, wanted in zip([y, *backward(dy_)], [y_copy, *backward_copy(dy_.copy("C"))], strict=True):
            np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=16 * tolerance)


def test_wrong_shapes_and_dtypes_name_the_argument(ops):
    x, W, b = np.zeros((5, 3)), np.zeros((3, 2)), np.zeros(2)
    with pytest.raises(InputError, match=r"x must have shape \(rows, 4\), got \(5, 3\)"):
        dense(ops, x, np.zeros((4, 2)), b)
    with pytest.raises(InputError, match=r"x must have shape \(rows, 3\), got \(3,\)"):
        dense(ops, x[0], W, b)
    with pytest.raises(InputError, match=r"b has shape \(3,\), but W has 2 columns"):
        dense(ops, x, W, np.zeros(3))
    with pytest.raises(InputTypeError, match=r"x has dtype float32, but W has dtype float64"):
        dense(ops, x.astype(np.float32), W, b)
    _, backward = dense(ops, x, W, b)
    with pytest.raises(InputError, match=r"dy has shape \(5, 3\), but y has shape \(5, 2\)"):
        backward(np.zeros((5, 3)))
    with pytest.raises(InputTypeError, match=r"dy has dtype float32, but y has dtype float64"):
        backward(np.zeros((5, 2), np.float32))


def test_a_bias_of_another_dtype_is_refused(ops):
    with pytest.raises(InputTypeError, match="b has dtype float64"):
        dense(ops, np.zeros((5, 3), np.float32), np.zeros((3, 2), np.float32), np.zeros(2))


def test_an_unknown_activation_is_refused_by_name(ops):
    with pytest.raises(InputError, match="unknown activation 'reul'; known: 'identity', 'relu'"):
        dense(ops, np.zeros((5, 3)), np.zeros((3, 2)), np.zeros(2), "reul")


def test_how_many_numbers_layers_and_paths_have():
    layer, path = network.DenseLayer("a", 5, 3), network.LinearPath("a", 5, 3)
    assert (layer.size(), path.size()) == (5 * 3 + 3, 5 * 3)
    for each in (layer, path):
        assert each.size() == sum(int(np.prod(shape)) for shape in each.shapes().values())
    assert [(each.name, each.inputs, each.outputs) for each in network.chain("e", 7, (4, 2), "tanh")] == [
        ("e/0", 7, 4),
        ("e/1", 4, 2),
    ]
