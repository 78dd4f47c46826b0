"""Many training steps, or a whole evaluation, in one compiled call: the plan, its memory, and its threads.

The program is npvae/kernels/training.py; this file says which models it fits, lays out a batch's arrays, and calls
it from as many threads as were asked for.
"""

from __future__ import annotations

import math
import time

import numpy as np

from npvae.backend import compiled, together
from npvae.backend.memory import Memory
from npvae.backend.numba_ops import constants_of
from npvae.backend.stretch import Stretch
from npvae.backend.thread_choice import ThreadChoice
from npvae.kernels import sizes
from npvae.kernels.plan import BACKWARD, FORWARD, Epilogue, Estimator, Layer, Operation, Train
from npvae.kernels.plan import Likelihood as Code
from npvae.kernels.sizes import NORM_BLOCK, SUMS_HEAD
from npvae.kernels.target import CACHE_LINE
from npvae.random import PURPOSES

#: Multiplications of the largest product from which a thread's part of a phase is divided into several shares: there copying
#: the other matrix for each costs little.
LONG_PHASE = 2**26


class NumbaProgram:
    """A model, ready to run on the rows of x (N, I); with settings also to be trained on them."""

    @classmethod
    def of(cls, ops, model, x, batch_size: int, settings=None) -> NumbaProgram | None:
        """The program, or None for what it does not know: likelihoods, optimisers and objectives are in compiled.py."""
        plain = x.flags.c_contiguous and x.dtype.name in ("float32", "float64") and len(x) > 0
        if not plain or not compiled.is_known(model, settings):
            return None
        known = compiled.is_plain_elbo(settings) or compiled.is_weighted_bound(settings, min(batch_size, len(x)))
        return cls(ops, model, x, batch_size, settings) if known else None

    def __init__(self, ops, model, x, batch_size: int, settings=None) -> None:
        self._model, self._settings, self._x = model, settings, x
        self._program = ops.program(x.dtype.name)
        self._threads = ops.threads
        self._choice = ThreadChoice(ops.threads)
        self._batch = min(batch_size, len(x))
        #: Samples of z a row, K of the importance-weighted bound; 0 for the ELBO.
        self._samples = 0 if compiled.is_plain_elbo(settings) else settings.objective.samples
        self._plan = np.zeros(len(Train), np.int64)
        self._records = np.zeros((len(model.architecture.dense_layers()), len(Layer)), np.int64)
        log_samples = math.log(max(self._samples, 1))
        self._constants = constants_of(log_samples=log_samples, **compiled.constants(model, settings))
        self._sums = np.zeros(SUMS_HEAD + 3 * model.architecture.latent_dim)
        self._rows = 0
        self._partial = np.zeros(SUMS_HEAD + -(-model.layout.size // NORM_BLOCK))
        self._shares_each = self._shares_of_a_thread()
        # Every counter has a line of the cache to itself.
        self._counters = np.zeros((sizes.TAKEN + ops.threads * self._shares_each + 1) * CACHE_LINE // 8, np.int64)
        self._lay_out()
        self._fill()
        if settings is not None:
            self._fill_settings()

    def _shares_of_a_thread(self) -> int:
        """Shares of a phase for each thread: one, or several where they are long, so that others can do the rest of a thread
        that the system has put aside."""
        rows = self._batch * max(self._samples, 1)
        largest = rows * max(layer.inputs * layer.outputs for layer in self._model.architecture.dense_layers())
        return max(1, min(4, 16 // self._threads)) if largest >= LONG_PHASE else 1

    def _lay_out(self) -> None:
        """Take memory for a batch: inputs, every layer's outputs and their gradients, the threads' scratch."""
        architecture, batch = self._model.architecture, self._batch
        memory = Memory(self._x.itemsize)
        decoded = batch * max(self._samples, 1)
        latent = decoded * architecture.latent_dim
        self._place = {
            "X": memory.take(batch * architecture.n_features), "EPS": memory.take(latent), "Z": memory.take(latent),
            "KL_ROWS": memory.take(batch * architecture.latent_dim), "NLL": memory.take(decoded), "D_Z": memory.take(latent),
        }
        if self._samples:
            self._place |= {name: memory.take(decoded) for name in ("RATIO", "WEIGHTS")}
            self._place |= {name: memory.take(batch) for name in ("LOSS_ROWS", "BOUND_ROWS")}
        target, size = self._program.target, self._x.itemsize
        self._place["SPARSE_X"] = memory.take(-(-sizes.sparse_bytes(target, batch, architecture.n_features) // size))
        layers = architecture.dense_layers()
        heads, encoder = len(architecture.decoder()[1]), len(architecture.hidden) + 2
        sizes_of_outputs = [(batch if i < encoder else decoded) * layer.outputs for i, layer in enumerate(layers)]
        self._outputs = [memory.take(numbers) for numbers in sizes_of_outputs]
        # The likelihood writes its derivative over the decoder's outputs.
        inner = sizes_of_outputs[:-heads] if self._settings is not None else []
        self._gradients = [memory.take(numbers) for numbers in inner] or self._outputs[:-heads]
        self._gradients += self._outputs[-heads:]
        widest = max(max(layer.inputs, layer.outputs) for layer in layers)
        self._scratch = max(sizes.scratch_numbers(target, widest), sizes.NORMAL_BYTES // target.itemsize)
        self._scratch = -(-self._scratch * target.itemsize // CACHE_LINE) * CACHE_LINE // target.itemsize
        self._place["SCRATCH"] = memory.take(self._scratch * self._threads)
        memory.allocate(self._x.dtype)
        self._memory = memory

    def _fill(self) -> None:
        """The plan's fields that no call changes."""
        architecture, plan = self._model.architecture, self._plan
        futex, futex_call = together.futex()
        for name, place in self._place.items():
            plan[Train[name]] = self._memory.address(place)
        fields = {
            "OPERATION": Operation.TRAIN,
            "SYNC": -(-self._counters.ctypes.data // CACHE_LINE) * CACHE_LINE, "FUTEX": futex, "FUTEX_CALL": futex_call,
            "YIELD": together.yield_address(),
            "SCRATCH_BYTES": self._scratch * self._x.itemsize,
            "DATA": self._x.ctypes.data, "TOTAL": len(self._x), "BATCH": self._batch,
            "FEATURES": architecture.n_features, "LATENT": architecture.latent_dim,
            "LAYERS": self._records.ctypes.data, "ENCODER": len(architecture.hidden),
            "DECODER": len(architecture.decoder_hidden), "HEADS": len(architecture.decoder()[1]),
            "LIKELIHOOD": Code[compiled.LIKELIHOODS[type(self._model.likelihood)]],
            "PARAMETERS": self._model.layout.size,
            "CONSTANTS": self._constants.ctypes.data, "SUMS": self._sums.ctypes.data,
            "PARTIAL": self._partial.ctypes.data,
        }
        self._set(**fields)

    def _fill_settings(self) -> None:
        """The plan's fields about training."""
        if self._samples:
            self._set(SAMPLES=self._samples, ESTIMATOR=Estimator[self._settings.objective.estimator.upper()])
        self._set(GRADIENT_TOO=1, **compiled.settings_fields(self._settings, Operation))

    def _set(self, **fields: int) -> None:
        """Write fields of the plan by name."""
        for name, value in fields.items():
            self._plan[Train[name]] = value

    def _fill_layers(self, theta, gradient) -> None:
        """The records of the layers: who reads what, and what follows a product."""
        architecture, place = self._model.architecture, self._place
        layers, views, into = architecture.dense_layers(), self._model.views(theta), self._model.views(gradient)
        encoder, decoder = len(architecture.hidden), len(architecture.decoder_hidden)
        address = self._memory.address
        for i, layer in enumerate(layers):
            in_encoder, first_head = i < encoder + 2, encoder
            if in_encoder:
                before = min(i, first_head) - 1  # both heads stand on the last hidden layer
            else:
                before = i - 1 if encoder + 2 < i <= encoder + 2 + decoder else -1
            if before >= 0:
                source, d_source = self._outputs[before], self._gradients[before]
                d_epilogue = BACKWARD[layers[before].activation]
            elif in_encoder:
                source, d_source, d_epilogue = place["X"], None, Epilogue.NONE
            else:
                source, d_source, d_epilogue = place["Z"], place["D_Z"], Epilogue.NONE
            if i == first_head:
                d_epilogue = Epilogue.NONE  # only when the second head has added its part
            record = {
                "W": views[layer.W].ctypes.data, "B": views[layer.b].ctypes.data,
                "D_W": into[layer.W].ctypes.data, "D_B": into[layer.b].ctypes.data,
                "INPUTS": layer.inputs, "OUTPUTS": layer.outputs, "EPILOGUE": FORWARD[layer.activation],
                "INPUT": address(source), "OUTPUT": address(self._outputs[i]), "D_OUTPUT": address(self._gradients[i]),
                "D_INPUT": 0 if d_source is None else address(d_source), "D_EPILOGUE": d_epilogue,
                "ADD": i == first_head + 1, "SPARSE": in_encoder and before < 0,
            }
            for name, value in record.items():
                self._records[i, Layer[name]] = value

    def train(self, theta, gradient, state, order, start, step, rates, betas) -> Stretch:
        """Take ``len(rates)`` steps, or fewer in a trial of another number of threads: change theta and the optimiser's state in place; see :class:`Stretch`.

        order: the epoch's rows, int64; start: the first of them to take; step: the number of steps before.
        ``gradient`` is overwritten with the last step's.
        """
        optimizer = self._settings.optimizer
        self._fill_layers(theta, gradient)
        steps = self._choice.steps_of_trial() or len(rates)
        rates, betas = rates[:steps], betas[:steps]
        states = [*(state[name].ctypes.data for name in compiled.STATES[type(optimizer)] if name in state), 0, 0]
        self._set(
            THETA=theta.ctypes.data, GRADIENT=gradient.ctypes.data, STATE=states[0], STATE_2=states[1],
            ORDER=order.ctypes.data, START=start, STEP=step,
        )
        return self._run(np.asarray(betas, np.float64), compiled.update_rates(optimizer, rates, step))

    def evaluate(self, theta, seed: int, purpose: str, beta: float) -> tuple[int, dict]:
        """The rows and the sums of the parts of the ELBO over all of x, in order; see ``take_sums``.

        Batch number k has the noise (seed, purpose, step k).
        """
        self._fill_layers(theta, theta)
        self._set(SEED=seed, NOISE_PURPOSE=PURPOSES[purpose], ORDER=0, START=0, STEP=0, GRADIENT_TOO=0)
        self._run(np.full(-(-len(self._x) // self._batch), beta))
        return self.take_sums()

    def _run(self, betas, rates=None) -> Stretch:
        """Run the plan for as many steps as there are betas."""
        losses, norms = np.zeros(len(betas)), np.zeros(len(betas))
        self._counters[:] = 0
        threads = self._choice.number
        self._set(
            RATES=0 if rates is None else rates.ctypes.data, BETAS=betas.ctypes.data, LOSSES=losses.ctypes.data,
            NORMS=norms.ctypes.data, STEPS=len(betas), DONE=0, REFUSED=0,
            SHARES=1 if threads == 1 else threads * self._shares_each,
        )
        started = time.perf_counter()
        together.run(self._program, self._plan, threads)
        done = int(self._plan[Train.DONE])
        self._choice.ran(time.perf_counter() - started, done)
        self._rows += min(done * self._batch, len(self._x) - int(self._plan[Train.START]))
        return Stretch(done, losses[:done], norms[:done])

    def take_sums(self) -> tuple[int, dict]:
        """The rows since the last call of this, and their sums in nats: loss, reconstruction, kl_per_dimension, mu,
        mu_squared; and bound, where it is not the ELBO."""
        latent, rows, self._rows = self._model.architecture.latent_dim, self._rows, 0
        head = SUMS_HEAD if self._samples else SUMS_HEAD - 1
        sums = compiled.sums_by_name(self._sums[:head], self._sums[SUMS_HEAD:].reshape(3, latent).copy())
        self._sums[:] = 0.0
        return rows, sums
