"""The definitions, as loops over Python floats: what the tests hold the library against.

Nothing here comes from the library, and nothing is rearranged for speed or for range. Where a definition
overflows or cancels in floating point it is evaluated in decimal arithmetic of 150 digits instead: enough
for 1 + exp(-300).
Arrays come in as anything that iterates over rows, and go out as nested lists.
"""

import decimal
import math

DIGITS = decimal.Context(prec=150, Emin=-999999, Emax=999999)


# Matrices


def rows(matrix):
    return [[float(value) for value in row] for row in matrix]


def matmul(a, b):
    a, b = rows(a), rows(b)
    columns = range(len(b[0]) if b else 0)
    return [[math.fsum(row[k] * b[k][j] for k in range(len(b))) for j in columns] for row in a]


def transpose(a, columns):
    """The transpose of a matrix of so many columns (which a matrix without rows does not tell)."""
    a = rows(a)
    return [[row[j] for row in a] for j in range(columns)]


# Activations and their derivatives, of one number


def activation(name, a):
    if name == "identity":
        return a
    if name == "relu":
        return a if a > 0 else 0.0
    if name == "tanh":
        return (math.exp(a) - math.exp(-a)) / (math.exp(a) + math.exp(-a))
    if name == "softplus":
        return math.log1p(math.exp(a))
    raise AssertionError(name)


def activation_slope(name, a):
    if name == "identity":
        return 1.0
    if name == "relu":
        return 1.0 if a > 0 else 0.0
    if name == "tanh":
        return 1.0 / math.cosh(a) ** 2
    if name == "softplus":
        return 1.0 / (1.0 + math.exp(-a))
    raise AssertionError(name)


def exact_softplus(a):
    """log(1 + exp(a)) for any float."""
    return float(_log_one_plus_exp(decimal.Decimal(float(a))))


def _log_one_plus_exp(a):
    return DIGITS.ln(DIGITS.add(1, DIGITS.exp(a)))


# Layers


def dense(x, W, b, name):
    products = matmul(x, W)
    return [[activation(name, value + float(b[j])) for j, value in enumerate(row)] for row in products]


def dense_gradients(dy, x, W, b, name):
    """``(dx, dW, db)``: each by its sum over everything that the input touches."""
    x, W, dy = rows(x), rows(W), rows(dy)
    inputs, outputs = len(W), len(W[0])
    da = [
        [
            dy[r][j] * activation_slope(name, math.fsum(x[r][k] * W[k][j] for k in range(inputs)) + float(b[j]))
            for j in range(outputs)
        ]
        for r in range(len(x))
    ]
    dx = [[math.fsum(row[j] * W[k][j] for j in range(outputs)) for k in range(inputs)] for row in da]
    dW = [[math.fsum(x[r][k] * da[r][j] for r in range(len(x))) for j in range(outputs)] for k in range(inputs)]
    db = [math.fsum(row[j] for row in da) for j in range(outputs)]
    return dx, dW, db


def sample(mu, logvar, eps):
    """mu plus a standard deviation, the square root of the variance, times eps; of single numbers."""
    variance = math.exp(logvar)
    return mu + math.sqrt(variance) * eps


def kl(mu, logvar):
    """KL(N(mu, exp(logvar)) || N(0, 1)) of single numbers, by the textbook formula for two Gaussians.

    log(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2, in decimals because it cancels near the prior.
    """
    mu, logvar = decimal.Decimal(float(mu)), decimal.Decimal(float(logvar))
    variance = DIGITS.exp(logvar)
    log_ratio = DIGITS.divide(DIGITS.minus(logvar), 2)
    quadratic = DIGITS.divide(DIGITS.add(variance, DIGITS.multiply(mu, mu)), 2)
    return float(DIGITS.subtract(DIGITS.add(log_ratio, quadratic), decimal.Decimal("0.5")))


def kl_quadrature(mu, logvar, points=4001, reach=14.0):
    """The integral of q log(q / p) by the trapezium rule, which converges exponentially for such integrands."""
    s = math.sqrt(math.exp(logvar))
    step = 2 * reach * s / (points - 1)
    total = []
    for i in range(points):
        z = mu - reach * s + i * step
        log_q = -0.5 * ((z - mu) / s) ** 2 - math.log(s * math.sqrt(2 * math.pi))
        log_p = -0.5 * z**2 - math.log(math.sqrt(2 * math.pi))
        total.append(math.exp(log_q) * (log_q - log_p) * step)
    return math.fsum(total)


# Likelihoods: nll of one row


def bernoulli_nll(logits, x):
    """-sum log(p^x (1 - p)^(1 - x)), p = 1 / (1 + exp(-l)), in decimals: right at any logit."""
    total = decimal.Decimal(0)
    for logit, value in zip(logits, x, strict=True):
        logit, value = decimal.Decimal(float(logit)), decimal.Decimal(float(value))
        minus_log_p = _log_one_plus_exp(DIGITS.minus(logit))
        minus_log_q = _log_one_plus_exp(logit)
        term = DIGITS.add(DIGITS.multiply(value, minus_log_p), DIGITS.multiply(DIGITS.subtract(1, value), minus_log_q))
        total = DIGITS.add(total, term)
    return float(total)


def sigmoid(logit):
    one = decimal.Decimal(1)
    return float(DIGITS.divide(one, DIGITS.add(one, DIGITS.exp(DIGITS.minus(decimal.Decimal(float(logit)))))))


def gaussian_nll(mean, variance, x):
    """-log of the product of the normal densities; ``variance`` is a list like ``mean``."""
    total = []
    for m, v, value in zip(mean, variance, x, strict=True):
        total.append(math.log(math.sqrt(2 * math.pi * v)) + (value - m) ** 2 / (2 * v))
    return math.fsum(total)


# Optimisers: the published rules, each on one parameter; ``gradients`` is the list of what it meets


def keras_rmsprop(theta, gradients, learning_rate=1e-3, rho=0.9, epsilon=1e-7):
    """Keras 3: velocity = rho velocity + (1 - rho) g^2; w = w - lr g / sqrt(velocity + epsilon)."""
    velocity = 0.0
    for g in gradients:
        velocity = rho * velocity + (1 - rho) * g * g
        theta = theta - learning_rate * g / math.sqrt(velocity + epsilon)
    return theta


def rmsprop(theta, gradients, learning_rate, rho, epsilon, epsilon_inside, start):
    """RMSprop with its two places of epsilon and any first accumulator."""
    average = start
    for g in gradients:
        average = rho * average + (1 - rho) * g**2
        root = math.sqrt(average + epsilon) if epsilon_inside else math.sqrt(average) + epsilon
        theta = theta - learning_rate * g / root
    return theta


def torch_adam(theta, gradients, learning_rate=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """PyTorch's Adam: both moments divided by their bias corrections, epsilon outside the root."""
    exp_avg = exp_avg_sq = 0.0
    for step, g in enumerate(gradients, start=1):
        exp_avg = beta1 * exp_avg + (1 - beta1) * g
        exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g * g
        corrected_m = exp_avg / (1 - beta1**step)
        corrected_v = exp_avg_sq / (1 - beta2**step)
        theta = theta - learning_rate * corrected_m / (math.sqrt(corrected_v) + epsilon)
    return theta


def sgd(theta, gradients, learning_rate, momentum):
    """PyTorch's form: buffer = momentum buffer + g; w = w - lr buffer."""
    buffer = 0.0
    for g in gradients:
        buffer = momentum * buffer + g
        theta = theta - learning_rate * buffer
    return theta


# Philox4x64-10 (Salmon et al. 2011, section 3.3), on Python integers


def philox4x64(counter, key, rounds=10):
    """The four output words of four counter words and two key words."""
    mask = 2**64 - 1
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        product0, product1 = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        high0, low0 = product0 >> 64, product0 & mask
        high1, low1 = product1 >> 64, product1 & mask
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & mask, (k1 + 0xBB67AE8584CAA73B) & mask
    return c0, c1, c2, c3
