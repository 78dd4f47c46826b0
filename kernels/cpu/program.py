"""The compiled program: one function of a plan's address and a thread's number, for each dtype.

``run(plan, thread)`` does what the plan's first field says: training steps, or one operation of the backend
interface. That there is one entry keeps compilation, cache and loading simple: one dtype is one piece of machine code.

Fields of the plans of single operations, after the operation: sizes and addresses in the order in which the
functions below name them; numbers other than integers are float64 at ``constants``.
"""

from __future__ import annotations

import math

from numba import types

from npvae.kernels.cpu import arithmetic as arithmetic_module
from npvae.kernels.cpu import elementary, training
from npvae.kernels.cpu import threads as threads_module
from npvae.kernels.cpu.loops import compiled, loop, make_access, make_integer_access
from npvae.kernels.cpu.plan import RATE, Constant, Operation, Product
from npvae.kernels.cpu.sizes import SPARSE
from npvae.kernels.cpu.target import Target

#: Functions of one number that tests and the curious can call on arrays, by their place here.
ELEMENTARY = {
    "exp": elementary.exp,
    "expm1": elementary.expm1,
    "log": elementary.log,
    "log1p_of_fraction": elementary.log1p_of_fraction,
    "tanh": elementary.tanh,
    "sigmoid": lambda x: elementary.sigmoid_and_softplus(x)[0],
    "softplus": lambda x: elementary.sigmoid_and_softplus(x)[1],
    "sine_of_turns": lambda x: elementary.sine_and_cosine_of_turns(x)[0],
    "cosine_of_turns": lambda x: elementary.sine_and_cosine_of_turns(x)[1],
}


def make(target, has_pause: bool):
    """The Python function to compile, ``run(plan, thread)``."""
    get_integer, _ = make_integer_access()
    get, put = make_access(target)
    get_wide, _ = make_access(Target("float64", target.vector_bytes, target.registers))
    number, size = getattr(types, target.dtype), target.itemsize
    arithmetic = arithmetic_module.make(target)
    threads = threads_module.make(has_pause)
    program, part = training.make(target, threads, arithmetic), threads.part
    train, multiply, tiles = program.train, program.products.multiply, program.products.tiles
    compress_rows, tiles_down = program.products.compress_rows, program.products.tiles_down
    make_normal, make_bernoulli = program.random.normal, program.random.bernoulli
    epilogue, update, flush, scale = arithmetic.epilogue, arithmetic.update, arithmetic.flush, arithmetic.scale
    bernoulli, bernoulli_value = arithmetic.bernoulli, arithmetic.bernoulli_value
    squared_error, gaussian = arithmetic.squared_error, arithmetic.gaussian
    sample, sample_backward = arithmetic.sample, arithmetic.sample_backward
    kl, kl_backward, kl_backward_scaled = arithmetic.kl, arithmetic.kl_backward, arithmetic.kl_backward_scaled
    exp, expm1, log, log1p, tanh, sigmoid, softplus, sine, cosine = (
        loop(target, 1, 1, 0, lambda inputs, _, f=f: [f(inputs[0])]) for f in ELEMENTARY.values()
    )

    @compiled(2)
    def likelihood(plan, operation):
        """rows, columns, outputs, x, second output or 0, nll, derivative, second derivative"""
        rows, columns = get_integer(plan, 1), get_integer(plan, 2)
        one = number(1.0)
        value = number(math.nan)  # of an unknown code: compiled code cannot raise
        for row in range(rows):
            here = size * columns * row
            output, x = get_integer(plan, 3) + here, get_integer(plan, 4) + here
            second, derivative, derivative_2 = (
                get_integer(plan, 5) + here,
                get_integer(plan, 7) + here,
                get_integer(plan, 8) + here,
            )
            if operation == Operation.BERNOULLI:
                value = bernoulli(columns, output, x, derivative, one)
            elif operation == Operation.BERNOULLI_VALUE:
                value = bernoulli_value(columns, output, x)
            elif operation == Operation.SQUARED_ERROR:
                value = squared_error(columns, output, x, derivative, one)
            elif operation == Operation.GAUSSIAN:
                value = gaussian(columns, output, second, x, derivative, derivative_2, one)
            put(get_integer(plan, 6), row, value)

    @compiled(2)
    def elementwise(plan, operation):
        """n, then inputs and outputs in the order of bodies.py; a scalar is at the address in field 6"""
        n = get_integer(plan, 1)
        a, b, c, d = get_integer(plan, 2), get_integer(plan, 3), get_integer(plan, 4), get_integer(plan, 5)
        if operation == Operation.SAMPLE:
            sample(n, a, b, c, d)
        elif operation == Operation.SAMPLE_BACKWARD:
            sample_backward(n, a, b, c, d)
        elif operation == Operation.KL:
            kl(n, a, b, c)
        elif operation == Operation.KL_BACKWARD:
            kl_backward(n, a, b, c, d, get_integer(plan, 6))
        elif operation == Operation.KL_BACKWARD_SCALED:
            kl_backward_scaled(n, a, b, c, d, number(get_wide(get_integer(plan, 6), 0)))
        elif operation == Operation.FLUSH:
            flush(n, a, a, number(get_wide(get_integer(plan, 6), Constant.TINY)))

    @compiled(1)
    def function(plan):
        """n, which of ELEMENTARY, input, output"""
        n, which, x, y = get_integer(plan, 1), get_integer(plan, 2), get_integer(plan, 3), get_integer(plan, 4)
        if which == 0:
            exp(n, x, y)
        elif which == 1:
            expm1(n, x, y)
        elif which == 2:
            log(n, x, y)
        elif which == 3:
            log1p(n, x, y)
        elif which == 4:
            tanh(n, x, y)
        elif which == 5:
            sigmoid(n, x, y)
        elif which == 6:
            softplus(n, x, y)
        elif which == 7:
            sine(n, x, y)
        elif which == 8:
            cosine(n, x, y)

    @compiled(1)
    def scale_rows(plan):
        """rows, columns, x, factors, stride of the factors (0 or 1), out"""
        columns, x, out = get_integer(plan, 2), get_integer(plan, 3), get_integer(plan, 6)
        for row in range(get_integer(plan, 1)):
            factor = get(get_integer(plan, 4), row * get_integer(plan, 5))
            scale(columns, x + size * columns * row, out + size * columns * row, factor)

    @compiled(2)
    def product(plan, thread):
        """The fields of Product. Threads have equal shares of the tiles, and nothing to wait for; so a SPARSE A, which
        is compressed first, needs THREADS = 1."""
        m, n, k = get_integer(plan, Product.M), get_integer(plan, Product.N), get_integer(plan, Product.K)
        a, lda, form = get_integer(plan, Product.A), get_integer(plan, Product.LDA), get_integer(plan, Product.FORM)
        if form == SPARSE:
            compress_rows(a, lda, m, k, 0, tiles_down(m), get_integer(plan, Product.SPARSE))
            a = get_integer(plan, Product.SPARSE)
        first, last = part(tiles(m, n, form), thread, get_integer(plan, Product.THREADS))
        multiply(
            a,
            lda,
            get_integer(plan, Product.B),
            get_integer(plan, Product.LDB),
            get_integer(plan, Product.C),
            get_integer(plan, Product.LDC),
            m,
            n,
            k,
            form,
            get_integer(plan, Product.ADD),
            first,
            last,
            get_integer(plan, Product.SCRATCH) + thread * get_integer(plan, Product.SCRATCH_BYTES),
            get_integer(plan, Product.EPILOGUE),
            get_integer(plan, Product.P),
            get_integer(plan, Product.Q),
        )

    def run(plan, thread):
        operation = get_integer(plan, 0)
        if operation == Operation.TRAIN:
            train(plan, thread)
        elif operation <= Operation.MOMENTUM:
            # n, theta, gradient, state, second state, constants with rate and root_scale at their end
            constants = get_integer(plan, 6)
            update(
                operation,
                get_integer(plan, 1),
                get_integer(plan, 2),
                get_integer(plan, 3),
                get_integer(plan, 4),
                get_integer(plan, 5),
                constants,
                get_wide(constants, RATE),
                get_wide(constants, RATE + 1),
                1.0,
            )
        elif Operation.BERNOULLI <= operation <= Operation.GAUSSIAN:
            likelihood(plan, operation)
        elif operation == Operation.SCALE_ROWS:
            scale_rows(plan)
        elif operation == Operation.ACTIVATION:
            # epilogue, c, rows, columns, p
            rows, columns = get_integer(plan, 3), get_integer(plan, 4)
            code, c, p = get_integer(plan, 1), get_integer(plan, 2), get_integer(plan, 5)
            epilogue(code, c, columns, rows, columns, 0, 0, p, columns)
        elif operation == Operation.PRODUCT:
            product(plan, thread)
        elif operation == Operation.NORMAL:
            # seed, purpose, step, out, first, last, scratch
            make_normal(
                get_integer(plan, 1),
                get_integer(plan, 2),
                get_integer(plan, 3),
                get_integer(plan, 4),
                get_integer(plan, 5),
                get_integer(plan, 6),
                get_integer(plan, 7),
            )
        elif operation == Operation.DRAW_BERNOULLI:
            make_bernoulli(
                get_integer(plan, 1),
                get_integer(plan, 2),
                get_integer(plan, 3),
                get_integer(plan, 4),
                get_integer(plan, 5),
                get_integer(plan, 6),
            )
        elif operation == Operation.ELEMENTARY:
            function(plan)
        else:
            elementwise(plan, operation)

    return run
