"""Networks of dense layers: hidden layers one after the other, then heads side by side.

    h_0 = x,  h_i = f(h_{i-1} W_i + b_i)                 hidden layers
    out_k = h W_k + b_k  (+ x V_k)                       heads, all on the last h; for some also a linear path from x

Backwards through the chain; the heads' gradients by their common input add up:

    dh = sum_k dout_k W_k^T       dV_k = x^T dout_k,  dx gets sum_k dout_k V_k^T

Parameters and gradients are mappings of named tensors: ``NAME/W`` and ``NAME/b`` for the layer NAME. With a linear path
the hidden layers need only learn what is not linear: where nothing is, the model is a factor analysis, and as good as
one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from npvae.mathematics.layers.dense import dense

#: So many heads are computed by one product.
MANY_HEADS = 4


@dataclass(frozen=True)
class DenseLayer:
    """What a dense layer is called and how large it is; its tensors' names follow from its own."""

    name: str
    inputs: int
    outputs: int
    activation: str = "identity"
    W: str = field(init=False, repr=False, compare=False)
    b: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "W", f"{self.name}/W")
        object.__setattr__(self, "b", f"{self.name}/b")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of its tensors."""
        return {self.W: (self.inputs, self.outputs), self.b: (self.outputs,)}

    def size(self) -> int:
        """How many parameters it has."""
        return (self.inputs + 1) * self.outputs


@dataclass(frozen=True)
class LinearPath:
    """The matrix V of a path beside the hidden layers; it starts at zero, where the network is as without it."""

    name: str
    inputs: int
    outputs: int
    V: str = field(init=False, repr=False, compare=False)
    activation = "identity"

    def __post_init__(self) -> None:
        object.__setattr__(self, "V", f"{self.name}/V")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of its tensor."""
        return {self.V: (self.inputs, self.outputs)}

    def size(self) -> int:
        """How many parameters it has."""
        return self.inputs * self.outputs


def chain(name: str, inputs: int, widths, activation: str) -> list[DenseLayer]:
    """Hidden layers ``name/0``, ``name/1``, ... of the given widths, the first on ``inputs`` features."""
    sizes = [inputs, *widths]
    return [DenseLayer(f"{name}/{i}", sizes[i], units, activation) for i, units in enumerate(widths)]


def hidden_layers(ops, parameters, x, layers, need_dx: bool):
    """Return ``(h, backward)`` for layers one after the other; without layers h is x.

    ``backward(dh, gradient)`` overwrites the layers' tensors in ``gradient`` and returns dx, or None without
    ``need_dx``.
    """
    backwards = []
    h = x
    for i, layer in enumerate(layers):
        h, layer_backward = dense(ops, h, parameters[layer.W], parameters[layer.b], layer.activation, need_dx or i > 0)
        backwards.append(layer_backward)

    def backward(dh, gradient):
        for layer, layer_backward in zip(reversed(layers), reversed(backwards), strict=True):
            dh, _, _ = layer_backward(dh, (gradient[layer.W], gradient[layer.b]))
        return dh

    return h, backward


def heads(ops, parameters, h, layers, need_dx: bool):
    """Return ``(outputs, backward)`` for layers side by side on h: a tuple with an array a layer.

    ``backward(doutputs, gradient)`` overwrites the layers' tensors in ``gradient`` and returns dh, or None
    without ``need_dx``.
    """
    pairs = [dense(ops, h, parameters[layer.W], parameters[layer.b], layer.activation, need_dx) for layer in layers]

    def backward(doutputs, gradient):
        dh = None
        for layer, doutput, (_, layer_backward) in zip(layers, doutputs, pairs, strict=True):
            part, _, _ = layer_backward(doutput, (gradient[layer.W], gradient[layer.b]))
            if dh is None:
                dh = part
            elif part is not None:
                dh += part  # in place: dh is the first head's dx, which nobody else holds
        return dh

    return tuple(output for output, _ in pairs), backward


def linear_paths(ops, parameters, x, paths, need_dx: bool):
    """Return ``(outputs, backward)`` of x V for every path, None where there is none; ``backward`` as that of
    ``heads``.
    """
    layers = []
    for path in paths:
        if path is None:
            layers.append((None, None))
            continue
        no_bias = ops.xp.zeros_like(parameters[path.V][0, :])
        layers.append(dense(ops, x, parameters[path.V], no_bias, path.activation, need_dx))

    def backward(doutputs, gradient):
        dx = None
        for path, doutput, (_, layer_backward) in zip(paths, doutputs, layers, strict=True):
            if path is None:
                continue
            part, _, _ = layer_backward(doutput, (gradient[path.V], ops.xp.empty_like(parameters[path.V][0, :])))
            if part is not None:
                dx = part if dx is None else dx + part
        return dx

    return tuple(output for output, _ in layers), backward


def joined_heads(ops, parameters, h, x, layers, paths, need_dx: bool):
    """Heads and linear paths of as many heads as a table's decoder has, by one product: [h | x] times their matrices
    side by side.

    Return ``(outputs, backward)``; ``backward(doutputs, gradient)`` overwrites all their tensors and gives ``(dh,
    dx)``, dx None without ``need_dx`` or paths.
    """
    xp, units = ops.xp, h.shape[1]
    ends = [sum(layer.outputs for layer in layers[:i]) for i in range(len(layers) + 1)]
    W, b = (
        ops.concat(tuple(parameters[name] for name in names), axis=-1)
        for names in zip(*((layer.W, layer.b) for layer in layers), strict=True)
    )
    if paths:
        V = tuple(
            xp.zeros((x.shape[1], layer.outputs), dtype=x.dtype) if path is None else parameters[path.V]
            for layer, path in zip(layers, paths, strict=True)
        )
        h, W = ops.concat((h, x), axis=1), ops.concat((W, ops.concat(V, axis=1)), axis=0)
    y, layer_backward = dense(ops, h, W, b)

    def backward(doutputs, gradient):
        d, dW, db = layer_backward(ops.concat(tuple(doutputs), axis=1))
        for i, layer in enumerate(layers):
            some = slice(ends[i], ends[i + 1])
            gradient[layer.W][...], gradient[layer.b][...] = dW[:units, some], db[some]
            if paths and paths[i] is not None:
                gradient[paths[i].V][...] = dW[units:, some]
        return d[:, :units], d[:, units:] if paths and need_dx else None

    return tuple(y[:, ends[i] : ends[i + 1]] for i in range(len(layers))), backward


def network(ops, parameters, x, hidden, head_layers, need_dx: bool, paths=()):
    """Hidden layers and then heads: return ``(outputs, backward)``. paths: a :class:`LinearPath` or None for each head.

    ``backward(doutputs, gradient)`` overwrites all tensors in ``gradient`` and returns dx, or None without
    ``need_dx``: the encoder has no use for the gradient by the data.
    """
    h, hidden_backward = hidden_layers(ops, parameters, x, hidden, need_dx)
    if len(head_layers) >= MANY_HEADS and all(layer.activation == "identity" for layer in head_layers):
        outputs, joined_backward = joined_heads(ops, parameters, h, x, head_layers, paths, need_dx)

        def backward_of_many(doutputs, gradient):
            dh, by_paths = joined_backward(doutputs, gradient)
            dx = hidden_backward(dh, gradient)
            if not need_dx:
                return None
            return dx if by_paths is None else dx + by_paths

        return outputs, backward_of_many
    outputs, heads_backward = heads(ops, parameters, h, head_layers, need_dx or bool(hidden))

    if not paths:
        return outputs, lambda doutputs, gradient: hidden_backward(heads_backward(doutputs, gradient), gradient)
    beside, paths_backward = linear_paths(ops, parameters, x, paths, need_dx)

    def backward(doutputs, gradient):
        dx = hidden_backward(heads_backward(doutputs, gradient), gradient)
        by_paths = paths_backward(doutputs, gradient)
        return dx if by_paths is None else dx + by_paths

    return tuple(a if b is None else a + b for a, b in zip(outputs, beside, strict=True)), backward
