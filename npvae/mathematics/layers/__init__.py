"""The layers: one idea a file, its equations in the docstring, forward and backward side by side.

Every file has reference functions over ``xp`` (NumPy, CuPy, or any array-API module), and one function
that takes ``ops``, a backend, and returns ``(output, backward)``. ``backward`` takes the gradient of a
scalar loss L by the output and returns the gradients by the inputs; ``da`` always means dL/da and has the
shape of ``a``.

Sizes: B rows of a minibatch, I data features, H hidden units, Z latent dimensions.
"""
