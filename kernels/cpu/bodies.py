"""The arithmetic of every fused operation, number by number: the equations of npvae's layers, likelihoods and
optimisers, written on vectors (see vector.py). ``arithmetic.py`` and ``training.py`` loop over them.

Each function takes a list of inputs and a list of scalars and returns its outputs, followed by what is to be summed
where there is such a thing.
"""

from __future__ import annotations

from npvae.kernels.cpu.elementary import exp, expm1, log, log1p_of_fraction, sigmoid_and_softplus, tanh

# activations: y = f(a + b) and da = dy f'(a), written in y


def bias(inputs, _):
    a, b = inputs
    return [a + b]


def relu(inputs, _):
    a, b = inputs
    return [(a + b).at_least(0.0)]


def tanh_forward(inputs, _):
    a, b = inputs
    return [tanh(a + b)]


def softplus(inputs, _):
    a, b = inputs
    return [sigmoid_and_softplus(a + b)[1]]


def relu_backward(inputs, _):
    dy, y = inputs
    return [dy.where(y.greater(0.0), 0.0)]


def tanh_backward(inputs, _):
    dy, y = inputs
    return [dy * (1.0 - y * y)]


def softplus_backward(inputs, _):
    dy, y = inputs
    return [dy * -expm1(-y)]


# latent space


def sample(inputs, _):
    """z = mu + exp(logvar / 2) eps"""
    mu, logvar, eps = inputs
    return [mu + exp(logvar * 0.5) * eps]


def sample_backward(inputs, _):
    """dlogvar = dz eps exp(logvar / 2) / 2; dmu is dz."""
    dz, logvar, eps = inputs
    return [dz * eps * (exp(logvar * 0.5) * 0.5)]


def kl(inputs, _):
    """(mu^2 + exp(logvar) - 1 - logvar) / 2"""
    mu, logvar = inputs
    return [(mu * mu + (expm1(logvar) - logvar)) * 0.5]


def kl_backward(inputs, _):
    """dmu = dkl mu, dlogvar = dkl (exp(logvar) - 1) / 2"""
    dkl, mu, logvar = inputs
    return [dkl * mu, dkl * (expm1(logvar) * 0.5)]


def kl_backward_scaled(inputs, scalars):
    """The same for one dkl."""
    return kl_backward([scalars[0], *inputs], [])


def latent_forward(inputs, _):
    """z and the KL divergence."""
    mu, logvar, eps = inputs
    return [*sample([mu, logvar, eps], []), *kl([mu, logvar], [])]


def latent_backward(inputs, scalars):
    """dmu and dlogvar: the parts through z and through the KL divergence, whose upstream gradient is the scalar."""
    dz, mu, logvar, eps = inputs
    dmu, dlogvar = kl_backward_scaled([mu, logvar], scalars)
    return [dz + dmu, sample_backward([dz, logvar, eps], [])[0] + dlogvar]


# importance weights: see npvae/mathematics/objectives/importance_weighted.py


def sample_and_ratio(inputs, _):
    """z; and eps^2 + logvar - z^2, whose sum is twice log p(z) - log q(z|x)"""
    _, logvar, eps = inputs
    (z,) = sample(inputs, [])
    return [z, eps * eps - z * z + logvar]


def log_weight(inputs, scalars):
    """beta r - nll"""
    ratio, nll = inputs
    return [ratio * scalars[0] - nll]


def shifted_exp(inputs, scalars):
    """exp(x - m), also to be summed"""
    weight = exp(inputs[0] - scalars[0])
    return [weight, weight]


def logarithm(inputs, _):
    return [log(inputs[0])]


def sample_pull(inputs, scalars):
    """dmu and dlogvar with one sample's part added, where log q's direct part is kept; the scalar is beta v / B."""
    dz, z, eps, logvar, dmu, dlogvar = inputs
    (tie,) = scalars
    dz = dz + tie * z
    return [dmu + dz, dlogvar + (dz * eps * exp(logvar * 0.5) - tie) * 0.5]


def path_pull(inputs, scalars):
    """The same along z alone; scalars: beta v / B, and what the whole is taken times."""
    dz, z, eps, logvar, dmu, dlogvar = inputs
    tie, factor = scalars
    s = exp(logvar * 0.5)
    dz = (dz + tie * (z - eps / s)) * factor
    return [dmu + dz, dlogvar + dz * eps * s * 0.5]


# likelihoods: derivatives times the scalar, and -log p(x|z) to be summed


def bernoulli(inputs, scalars):
    """sigmoid(l) - x, and (max(l, 0) - x l) + log(1 + exp(-|l|)), from one exponential"""
    logits, x = inputs
    t = exp(-abs(logits))
    sigmoid = t.like(1.0).where(logits.greater(0.0), t) / (t + 1.0)
    return [(sigmoid - x) * scalars[0], _cross_entropy(logits, x, t)]


def bernoulli_value(inputs, _):
    """The second of these alone."""
    logits, x = inputs
    return [_cross_entropy(logits, x, exp(-abs(logits)))]


def _cross_entropy(logits, x, t):
    # max(l, 0) - x l is exact where it is 0: the tiny loss of a confident, correct logit is all in the logarithm.
    return (logits.at_least(0.0) - x * logits) + log1p_of_fraction(t)


def squared_error(inputs, scalars):
    """m - x, and (m - x)^2"""
    mean, x = inputs
    difference = mean - x
    return [difference * scalars[0], difference * difference]


def gaussian(inputs, scalars):
    """(m - x) / v and (1 - (m - x)^2 / v) / 2; twice -log N, less log(2 pi)"""
    mean, logvar, x = inputs
    inverse_deviation = exp(logvar * -0.5)
    scaled = (mean - x) * inverse_deviation
    square = scaled * scaled
    return [scaled * inverse_deviation * scalars[0], (1.0 - square) * 0.5 * scalars[0], square + logvar]


def scale(inputs, scalars):
    return [inputs[0] * scalars[0]]


def scale_in_place(inputs, scalars):
    return scale(inputs, scalars)


def fill(_, scalars):
    return [scalars[0]]


def add(inputs, _):
    return [inputs[0] + inputs[1]]


def square(inputs, _):
    return [inputs[0] * inputs[0]]


# optimisers: the first output is theta; g is the gradient times the last scalar


def rmsprop(inputs, scalars):
    """v = rho v + (1 - rho) (g^2 + epsilon);  theta -= lr g / sqrt(v)"""
    theta, gradient, v = inputs
    rate, rho, rest, epsilon, factor = scalars
    g = gradient * factor
    v = v * rho + rest * (g * g + epsilon)
    return [theta - rate * (g / v.sqrt()), v]


def rmsprop_outside(inputs, scalars):
    """s = rho s + (1 - rho) g^2;  theta -= lr g / (sqrt(s) + epsilon)"""
    theta, gradient, s = inputs
    rate, rho, rest, epsilon, factor = scalars
    g = gradient * factor
    s = s * rho + rest * (g * g)
    return [theta - rate * (g / (s.sqrt() + epsilon)), s]


def adam(inputs, scalars):
    """m and v; theta -= rate m / (sqrt(v) root_scale + epsilon), with the corrections for the start in both scalars."""
    theta, gradient, m, v = inputs
    rate, beta1, rest1, beta2, rest2, root_scale, epsilon, factor = scalars
    g = gradient * factor
    m = m * beta1 + rest1 * g
    v = v * beta2 + rest2 * (g * g)
    return [theta - rate * (m / (v.sqrt() * root_scale + epsilon)), m, v]


def sgd(inputs, scalars):
    theta, gradient = inputs
    rate, factor = scalars
    return [theta - rate * (gradient * factor)]


def momentum(inputs, scalars):
    """velocity = momentum velocity + g; theta -= lr velocity"""
    theta, gradient, velocity = inputs
    rate, kept, factor = scalars
    velocity = velocity * kept + gradient * factor
    return [theta - rate * velocity, velocity]


def flush(inputs, scalars):
    """0 where |x| is below the scalar; NaN stays."""
    (x,) = inputs
    return [x.like(0.0).where(scalars[0].greater(abs(x)), x)]
