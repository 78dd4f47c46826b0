"""The training program: gather, forward, loss, backward and update of many steps, run by all threads together.

Each phase is divided into shares; the next one, which reads what they wrote, begins when all are done (threads.py).
What is computed, and in which order numbers are added, depends neither on how many shares there are nor on who does
which.

    phase      divided by         writes
    gather     rows               x, the noise eps
    forward    tiles of y         y = f(x W + b), layer after layer
    sample     rows               z, the KL divergence
    loss       rows               -log p(x|z) by row; d(outputs), in the place of the outputs
    backward   tiles              da = (da' W'^T) f'(a);  dW = x^T da, db: as soon as da is there
    latent     rows               dmu, dlogvar
    norm       blocks             |gradient|^2
    update     blocks             theta and the optimiser's state

The equations are those of npvae's layers, likelihoods and optimisers: bodies.py. The last two phases are in update.py.
For the importance-weighted bound three phases are others, one of them new: importance_weighted.py.
"""

from __future__ import annotations

import math
from types import SimpleNamespace

from numba import types

from npvae.kernels.cpu import bodies, division, gemm, importance_weighted, philox, update
from npvae.kernels.cpu.loops import compiled, loop, make_access, make_integer_access
from npvae.kernels.cpu.plan import RECORD, Constant, Epilogue, Layer, Likelihood, Train
from npvae.kernels.cpu.sizes import A_TRANSPOSED, B_TRANSPOSED, PLAIN, SPARSE, SPARSE_TRANSPOSED, SUMS_HEAD
from npvae.kernels.cpu.target import Target


def make(target, threads, arithmetic):
    """``train(plan, thread)``: run the plan's steps as thread number ``thread``; ``multiply`` and ``tiles`` beside
    it.
    """
    get_integer, put_integer = make_integer_access()
    get, put = make_access(target)
    get_wide, put_wide = make_access(Target("float64", target.vector_bytes, target.registers))
    number, size = getattr(types, target.dtype), target.itemsize
    take, wait, part = threads.take, threads.wait, threads.part
    forward_epilogue = arithmetic.epilogue
    products = gemm.make(target, forward_epilogue)
    multiply, tiles, tiles_down, row_of = products.multiply, products.tiles, products.tiles_down, products.row_of
    compress_rows = products.compress_rows
    random = philox.make(target)
    make_normal, make_bernoulli = random.normal, random.bernoulli
    copy, add = loop(target, 1, 1, 0, lambda inputs, _: inputs), loop(target, 2, 1, 0, bodies.add)
    latent_forward = loop(target, 3, 2, 0, bodies.latent_forward)
    latent_backward = loop(target, 4, 2, 1, bodies.latent_backward)
    bernoulli, bernoulli_value = arithmetic.bernoulli, arithmetic.bernoulli_value
    squared_error = arithmetic.squared_error
    shares = division.make(target, products)
    by_rows, row_of_thread = shares.by_rows, shares.row_of_thread
    weighted = importance_weighted.make(target, threads, arithmetic)
    draw, weigh, weighted_latent_backward = weighted.draw, weighted.weigh, weighted.latent_backward
    weighted_batch_sums, kl_alone = weighted.batch_sums, arithmetic.kl
    end = update.make(target, arithmetic, shares)
    norm_blocks, norm, update_blocks = end.norm_blocks, end.norm, end.update_blocks

    @compiled(6)
    def gather(plan, step, rows, thread, count, scratch):
        """x: the step's rows of the data; eps: its noise."""
        features, latent = get_integer(plan, Train.FEATURES), get_integer(plan, Train.LATENT)
        data, order, x = get_integer(plan, Train.DATA), get_integer(plan, Train.ORDER), get_integer(plan, Train.X)
        start = get_integer(plan, Train.START) + step * get_integer(plan, Train.BATCH)
        first_tile, last_tile = part(tiles_down(rows), thread, count)
        first, last = row_of(first_tile, rows), row_of(last_tile, rows)
        for row in range(first, last):
            source = get_integer(order, start + row) if order != 0 else start + row
            copy(features, data + size * features * source, x + size * features * row)
        seed, number_of_step = get_integer(plan, Train.SEED), get_integer(plan, Train.STEP) + step
        purpose = get_integer(plan, Train.BINARIZE_PURPOSE)
        if purpose != 0:
            make_bernoulli(seed, purpose, number_of_step, x, first * features, last * features)
        compress_rows(x, features, rows, features, first_tile, last_tile, get_integer(plan, Train.SPARSE_X))
        if get_integer(plan, Train.SAMPLES) != 0:
            first, last = part(rows * get_integer(plan, Train.SAMPLES), thread, count)
        make_normal(
            seed,
            get_integer(plan, Train.NOISE_PURPOSE),
            number_of_step,
            get_integer(plan, Train.EPS),
            first * latent,
            last * latent,
            scratch,
        )

    @compiled(6)
    def layer_forward(plan, layer, rows, thread, count, scratch):
        """y = f(x W + b)"""
        inputs, outputs = get_integer(layer, Layer.INPUTS), get_integer(layer, Layer.OUTPUTS)
        sparse = get_integer(layer, Layer.SPARSE)
        form = SPARSE if sparse else PLAIN
        first, last = part(tiles(rows, outputs, form), thread, count)
        multiply(
            get_integer(plan, Train.SPARSE_X) if sparse else get_integer(layer, Layer.INPUT),
            inputs,
            get_integer(layer, Layer.W),
            outputs,
            get_integer(layer, Layer.OUTPUT),
            outputs,
            rows,
            outputs,
            inputs,
            form,
            0,
            first,
            last,
            scratch,
            get_integer(layer, Layer.EPILOGUE),
            get_integer(layer, Layer.B),
            0,
        )

    @compiled(6)
    def layer_backward(plan, layer, rows, thread, count, scratch):
        """da of the layer before, dW and db from this layer's da."""
        inputs, outputs = get_integer(layer, Layer.INPUTS), get_integer(layer, Layer.OUTPUTS)
        da, d_input = get_integer(layer, Layer.D_OUTPUT), get_integer(layer, Layer.D_INPUT)
        if d_input != 0:
            first, last = part(tiles(rows, inputs, B_TRANSPOSED), thread, count)
            multiply(
                da,
                outputs,
                get_integer(layer, Layer.W),
                outputs,
                d_input,
                inputs,
                rows,
                inputs,
                outputs,
                B_TRANSPOSED,
                get_integer(layer, Layer.ADD),
                first,
                last,
                scratch,
                get_integer(layer, Layer.D_EPILOGUE),
                get_integer(layer, Layer.INPUT),
                inputs,
            )
        form = SPARSE_TRANSPOSED if get_integer(layer, Layer.SPARSE) else A_TRANSPOSED
        x, dW = get_integer(layer, Layer.INPUT), get_integer(layer, Layer.D_W)
        if by_rows(inputs, count):
            first, last = row_of_thread(inputs, thread, count), row_of_thread(inputs, thread + 1, count)
            multiply(
                x + size * first,
                inputs,
                da,
                outputs,
                dW + size * first * outputs,
                outputs,
                last - first,
                outputs,
                rows,
                form,
                0,
                0,
                tiles(last - first, outputs, form),
                scratch,
                Epilogue.NONE,
                0,
                0,
            )
        else:
            # Threads take dW from the other end, so that whoever has one tile less above has one more here.
            first, last = part(tiles(inputs, outputs, form), count - 1 - thread, count)
            multiply(
                x,
                inputs,
                da,
                outputs,
                dW,
                outputs,
                inputs,
                outputs,
                rows,
                form,
                0,
                first,
                last,
                scratch,
                Epilogue.NONE,
                0,
                0,
            )
        first, last = part(outputs, thread, count)
        db = get_integer(layer, Layer.D_B) + size * first
        copy(last - first, da + size * first, db)
        for row in range(1, rows):
            add(last - first, db, da + size * (row * outputs + first), db)

    @compiled(5)
    def loss_rows(plan, head, rows, thread, count):
        """-log p(x|z) of every z; the outputs' place takes their derivative, times 1/B but where it waits for
        weights.
        """
        features, nll = get_integer(plan, Train.FEATURES), get_integer(plan, Train.NLL)
        x, outputs = get_integer(plan, Train.X), get_integer(head, Layer.OUTPUT)
        constants = get_integer(plan, Train.CONSTANTS)
        samples = get_integer(plan, Train.SAMPLES)
        scale = number(get_wide(constants, Constant.LIKELIHOOD_SCALE) / (1 if samples else rows))
        factor = number(get_wide(constants, Constant.LIKELIHOOD_FACTOR))
        constant = number(get_wide(constants, Constant.LIKELIHOOD_CONSTANT))
        kind, gradient = get_integer(plan, Train.LIKELIHOOD), get_integer(plan, Train.GRADIENT_TOO)
        first, last = part(rows * max(samples, 1), thread, count)
        for drawn in range(first, last):
            row = drawn % rows
            output, x_row = outputs + size * features * drawn, x + size * features * row
            if kind == Likelihood.BERNOULLI:
                if gradient:
                    value = bernoulli(features, output, x_row, output, scale)
                else:
                    value = bernoulli_value(features, output, x_row)
            elif kind == Likelihood.FIXED_VARIANCE:
                value = squared_error(features, output, x_row, output, scale)
            else:
                value = number(math.nan)  # an unknown code: compiled code cannot raise
            put(nll, row * samples + drawn // rows if samples else drawn, value * factor + constant)

    @compiled(3)
    def batch_loss(plan, step, rows):
        """The step's loss; its parts, summed over rows, wait behind the partial norms."""
        latent, kl, nll = (
            get_integer(plan, Train.LATENT),
            get_integer(plan, Train.KL_ROWS),
            get_integer(plan, Train.NLL),
        )
        loss, reconstruction, divergence, bound = 0.0, 0.0, 0.0, 0.0
        if get_integer(plan, Train.SAMPLES):
            loss, reconstruction, bound = weighted_batch_sums(plan, rows)
        else:
            for row in range(rows):
                reconstruction += types.float64(get(nll, row))
            for i in range(rows * latent):
                divergence += types.float64(get(kl, i))
            loss = reconstruction + get_wide(get_integer(plan, Train.BETAS), step) * divergence
        put_wide(get_integer(plan, Train.LOSSES), step, loss / rows)
        partial = get_integer(plan, Train.PARTIAL)
        put_wide(partial, 0, loss)
        put_wide(partial, 1, reconstruction)
        put_wide(partial, 2, bound)

    @compiled(4)
    def add_to_sums(plan, rows, thread, count):
        """Add the batch to the sums over rows: loss, reconstruction, bound; by dimension KL, mu and mu^2."""
        latent, kl = get_integer(plan, Train.LATENT), get_integer(plan, Train.KL_ROWS)
        first_head = get_integer(plan, Train.LAYERS) + RECORD * get_integer(plan, Train.ENCODER)
        mean, sums = get_integer(first_head, Layer.OUTPUT), get_integer(plan, Train.SUMS)
        first, last = part(latent, thread, count)
        for j in range(first, last):
            total, total_mean, total_square = 0.0, 0.0, 0.0
            for row in range(rows):
                mu = types.float64(get(mean, row * latent + j))
                total += types.float64(get(kl, row * latent + j))
                total_mean += mu
                total_square += mu * mu
            at = SUMS_HEAD + j
            put_wide(sums, at, get_wide(sums, at) + total)
            put_wide(sums, at + latent, get_wide(sums, at + latent) + total_mean)
            put_wide(sums, at + 2 * latent, get_wide(sums, at + 2 * latent) + total_square)
        if thread == 0:
            partial = get_integer(plan, Train.PARTIAL)
            for k in range(SUMS_HEAD):
                put_wide(sums, k, get_wide(sums, k) + get_wide(partial, k))

    @compiled(6)
    def latent_phase(plan, rows, thread, count, mean, logvar):
        """z and the KL divergence."""
        size_z, samples = rows * get_integer(plan, Train.LATENT), get_integer(plan, Train.SAMPLES)
        first, last = part(size_z, thread, count)
        here = size * first
        mu, log_variance = get_integer(mean, Layer.OUTPUT) + here, get_integer(logvar, Layer.OUTPUT) + here
        z, kl, eps = get_integer(plan, Train.Z), get_integer(plan, Train.KL_ROWS), get_integer(plan, Train.EPS)
        if samples:
            kl_alone(last - first, mu, log_variance, kl + here)
            draw(plan, rows, thread, count)
        else:
            latent_forward(last - first, mu, log_variance, eps + here, z + here, kl + here)

    @compiled(7)
    def latent_backward_phase(plan, step, rows, thread, count, mean, logvar):
        """dmu and dlogvar."""
        if get_integer(plan, Train.SAMPLES):
            weighted_latent_backward(plan, step, rows, thread, count)
            return
        scale = number(get_wide(get_integer(plan, Train.BETAS), step) / rows)
        first, last = part(rows * get_integer(plan, Train.LATENT), thread, count)
        here = size * first
        latent_backward(
            last - first,
            get_integer(plan, Train.D_Z) + here,
            get_integer(mean, Layer.OUTPUT) + here,
            get_integer(logvar, Layer.OUTPUT) + here,
            get_integer(plan, Train.EPS) + here,
            get_integer(mean, Layer.D_OUTPUT) + here,
            get_integer(logvar, Layer.D_OUTPUT) + here,
            scale,
        )

    @compiled(5)
    def evaluation_sums(plan, step, rows, thread, count):
        """The end of a step of an evaluation. What one share of it writes for itself alone, no other share reads."""
        if thread == 0:
            batch_loss(plan, step, rows)
            put_integer(plan, Train.DONE, step + 1)
        add_to_sums(plan, rows, thread, count)

    @compiled(5)
    def norm_phase(plan, step, rows, thread, count):
        norm_blocks(plan, thread, count)
        if thread == count - 1:
            batch_loss(plan, step, rows)

    @compiled(5)
    def update_phase(plan, step, rows, thread, count):
        """Nothing that outlives the step has changed yet, so it can still be refused."""
        length = norm(plan)
        if not math.isfinite(length + get_wide(get_integer(plan, Train.LOSSES), step)):
            if thread == 0:
                put_integer(plan, Train.REFUSED, 1)
            return
        update_blocks(plan, step, length, thread, count)
        add_to_sums(plan, rows, thread, count)
        if thread == 0:
            put_wide(get_integer(plan, Train.NORMS), step, length)
            put_integer(plan, Train.DONE, step + 1)

    @compiled(2)
    def train(plan, thread):
        shares = get_integer(plan, Train.SHARES)
        own = thread * (shares // get_integer(plan, Train.THREADS))
        scratch = get_integer(plan, Train.SCRATCH) + thread * get_integer(plan, Train.SCRATCH_BYTES)
        layers, record = get_integer(plan, Train.LAYERS), RECORD
        encoder, decoder = get_integer(plan, Train.ENCODER), get_integer(plan, Train.DECODER)
        mean, logvar = layers + record * encoder, layers + record * (encoder + 1)
        head = layers + record * (encoder + 2 + decoder)
        batch, samples = get_integer(plan, Train.BATCH), get_integer(plan, Train.SAMPLES)
        phase = 0
        for step in range(get_integer(plan, Train.STEPS)):
            rows = min(batch, get_integer(plan, Train.TOTAL) - get_integer(plan, Train.START) - step * batch)
            decoded = rows * max(samples, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                gather(plan, step, rows, share, shares, scratch)
                share = take(plan, phase, own, 1)
            for i in range(encoder):
                phase += 1
                share = take(plan, phase, own, 0)
                while share >= 0:
                    layer_forward(plan, layers + record * i, rows, share, shares, scratch)
                    share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                layer_forward(plan, mean, rows, share, shares, scratch)
                layer_forward(plan, logvar, rows, share, shares, scratch)
                share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                latent_phase(plan, rows, share, shares, mean, logvar)
                share = take(plan, phase, own, 1)
            for i in range(encoder + 2, encoder + 3 + decoder):  # the head comes last
                phase += 1
                share = take(plan, phase, own, 0)
                while share >= 0:
                    layer_forward(plan, layers + record * i, decoded, share, shares, scratch)
                    share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                loss_rows(plan, head, rows, share, shares)
                share = take(plan, phase, own, 1)
            if samples:
                phase += 1
                share = take(plan, phase, own, 0)
                while share >= 0:
                    weigh(plan, step, rows, share, shares)
                    share = take(plan, phase, own, 1)
            if get_integer(plan, Train.GRADIENT_TOO) == 0:
                phase += 1
                share = take(plan, phase, own, 0)
                while share >= 0:
                    evaluation_sums(plan, step, rows, share, shares)
                    share = take(plan, phase, own, 1)
                continue
            for i in range(encoder + 2 + decoder, encoder + 1, -1):
                phase += 1
                share = take(plan, phase, own, 0)
                while share >= 0:
                    layer_backward(plan, layers + record * i, decoded, share, shares, scratch)
                    share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                latent_backward_phase(plan, step, rows, share, shares, mean, logvar)
                share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                # The second head adds to the same tiles of dh, which the same thread has just written.
                layer_backward(plan, mean, rows, share, shares, scratch)
                layer_backward(plan, logvar, rows, share, shares, scratch)
                share = take(plan, phase, own, 1)
            for i in range(encoder - 1, -1, -1):
                phase += 1
                share = take(plan, phase, own, 0)
                while share >= 0:
                    layer_backward(plan, layers + record * i, rows, share, shares, scratch)
                    share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                norm_phase(plan, step, rows, share, shares)
                share = take(plan, phase, own, 1)
            phase += 1
            share = take(plan, phase, own, 0)
            while share >= 0:
                update_phase(plan, step, rows, share, shares)
                share = take(plan, phase, own, 1)
            wait(plan, phase)
            if get_integer(plan, Train.REFUSED):
                return
        wait(plan, phase)

    return SimpleNamespace(train=train, products=products, random=random)
