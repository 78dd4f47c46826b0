"""Many training steps, or a whole evaluation, in one compiled call: the plan, its memory, and its threads.

The program is npvae/kernels/cpu/training.py; this file lays out a batch's arrays, and calls it from as many threads as
were asked for. Which models it fits says coverage.py.
"""

from __future__ import annotations

import math
import time

import numpy as np

from npvae.backend import codes
from npvae.backend.numba_ops import constants_of
from npvae.fused import parallel, program_fields
from npvae.fused.base import FusedTrainer, StepsTaken
from npvae.fused.memory import Memory
from npvae.fused.thread_choice import ThreadChoice
from npvae.kernels.cpu import sizes
from npvae.kernels.cpu.plan import BACKWARD, FORWARD, Epilogue, Estimator, Layer, Operation, Train
from npvae.kernels.cpu.plan import Likelihood as Code
from npvae.kernels.cpu.sizes import NORM_BLOCK, SUMS_HEAD
from npvae.kernels.cpu.target import CACHE_LINE
from npvae.mathematics.objectives import ELBO
from npvae.mathematics.random import PURPOSES

#: Multiplications of the largest product from which a thread's part of a phase is divided into several shares: there
#: copying the other matrix for each costs little.
LONG_PHASE = 2**26


class CompiledRun:
    """A model's plan and its memory, for batches of the rows of x (N, I); without settings there is no gradient."""

    def __init__(self, ops, model, x, batch_size: int, settings=None) -> None:
        self._model, self._settings, self._x = model, settings, x
        self._program = ops.program(x.dtype.name)
        self._threads = ops.threads
        self._choice = ThreadChoice(ops.threads)
        self._batch = min(batch_size, len(x))
        #: Samples of z a row, K of the importance-weighted bound; 0 for the ELBO.
        self._samples = 0 if settings is None or settings.objective == ELBO() else settings.objective.samples
        self._plan = np.zeros(len(Train), np.int64)
        self._records = np.zeros((len(model.architecture.dense_layers()), len(Layer)), np.int64)
        log_samples = math.log(max(self._samples, 1))
        self._constants = constants_of(log_samples=log_samples, **program_fields.constants(model, settings))
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
        """Shares of a phase for each thread: one, or several where they are long, so that others can do the rest of a
        thread that the system has put aside."""
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
            "X": memory.take(batch * architecture.n_features),
            "EPS": memory.take(latent),
            "Z": memory.take(latent),
            "KL_ROWS": memory.take(batch * architecture.latent_dim),
            "NLL": memory.take(decoded),
            "D_Z": memory.take(latent),
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
        futex, futex_call = parallel.futex()
        for name, place in self._place.items():
            plan[Train[name]] = self._memory.address(place)
        fields = {
            "OPERATION": Operation.TRAIN,
            "SYNC": -(-self._counters.ctypes.data // CACHE_LINE) * CACHE_LINE,
            "FUTEX": futex,
            "FUTEX_CALL": futex_call,
            "YIELD": parallel.yield_address(),
            "SCRATCH_BYTES": self._scratch * self._x.itemsize,
            "DATA": self._x.ctypes.data,
            "TOTAL": len(self._x),
            "BATCH": self._batch,
            "FEATURES": architecture.n_features,
            "LATENT": architecture.latent_dim,
            "LAYERS": self._records.ctypes.data,
            "ENCODER": len(architecture.hidden),
            "DECODER": len(architecture.decoder_hidden),
            "HEADS": len(architecture.decoder()[1]),
            "LIKELIHOOD": Code[program_fields.likelihood_code(self._model.likelihood)],
            "PARAMETERS": self._model.layout.size,
            "CONSTANTS": self._constants.ctypes.data,
            "SUMS": self._sums.ctypes.data,
            "PARTIAL": self._partial.ctypes.data,
        }
        self._set(**fields)

    def _fill_settings(self) -> None:
        """The plan's fields about training."""
        if self._samples:
            self._set(SAMPLES=self._samples, ESTIMATOR=Estimator[self._settings.objective.estimator.upper()])
        self._set(GRADIENT_TOO=1, **program_fields.settings_fields(self._settings, Operation))

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
                d_epilogue = codes.code_of("activation", layers[before].activation, BACKWARD, "numba")
            elif in_encoder:
                source, d_source, d_epilogue = place["X"], None, Epilogue.NONE
            else:
                source, d_source, d_epilogue = place["Z"], place["D_Z"], Epilogue.NONE
            if i == first_head:
                d_epilogue = Epilogue.NONE  # only when the second head has added its part
            epilogue = codes.code_of("activation", layer.activation, FORWARD, "numba")
            record = {
                "W": views[layer.W].ctypes.data,
                "B": views[layer.b].ctypes.data,
                "D_W": into[layer.W].ctypes.data,
                "D_B": into[layer.b].ctypes.data,
                "INPUTS": layer.inputs,
                "OUTPUTS": layer.outputs,
                "EPILOGUE": epilogue,
                "INPUT": address(source),
                "OUTPUT": address(self._outputs[i]),
                "D_OUTPUT": address(self._gradients[i]),
                "D_INPUT": 0 if d_source is None else address(d_source),
                "D_EPILOGUE": d_epilogue,
                "ADD": i == first_head + 1,
                "SPARSE": in_encoder and before < 0,
            }
            for name, value in record.items():
                self._records[i, Layer[name]] = value

    def _run(self, betas, rates=None) -> StepsTaken:
        """Run the plan for as many steps as there are betas."""
        losses, norms = np.zeros(len(betas)), np.zeros(len(betas))
        self._counters[:] = 0
        threads = self._choice.number
        self._set(
            RATES=0 if rates is None else rates.ctypes.data,
            BETAS=betas.ctypes.data,
            LOSSES=losses.ctypes.data,
            NORMS=norms.ctypes.data,
            STEPS=len(betas),
            DONE=0,
            REFUSED=0,
            SHARES=1 if threads == 1 else threads * self._shares_each,
        )
        started = time.perf_counter()
        parallel.run(self._program, self._plan, threads)
        done = int(self._plan[Train.DONE])
        self._choice.ran(time.perf_counter() - started, done)
        self._rows += min(done * self._batch, len(self._x) - int(self._plan[Train.START]))
        return StepsTaken(done, losses[:done], norms[:done])

    def take_sums(self) -> tuple[int, dict]:
        """See :class:`FusedTrainer`."""
        latent, rows, self._rows = self._model.architecture.latent_dim, self._rows, 0
        head = SUMS_HEAD if self._samples else SUMS_HEAD - 1
        sums = program_fields.sums_by_name(self._sums[:head], self._sums[SUMS_HEAD:].reshape(3, latent).copy())
        self._sums[:] = 0.0
        return rows, sums


class NumbaTrainer(CompiledRun, FusedTrainer):
    """Training steps by the compiled program: of the ELBO, and of the importance-weighted bound in one piece."""

    def __init__(self, ops, model, settings, x) -> None:
        super().__init__(ops, model, x, settings.batch_size, settings)
        self._unused: np.ndarray | None = None  # in the place of theta where a step must not change it

    def take_steps(self, theta, gradient, state, order, start, step, rates, betas) -> StepsTaken:
        """See :class:`FusedTrainer`; fewer steps than asked for in a trial of another number of threads."""
        optimizer = self._settings.optimizer
        self._fill_layers(theta, gradient)
        steps = self._choice.steps_of_trial() or len(rates)
        rates, betas = rates[:steps], betas[:steps]
        states = [*(state[name].ctypes.data for name in program_fields.STATES[type(optimizer)] if name in state), 0, 0]
        self._set(
            THETA=theta.ctypes.data,
            GRADIENT=gradient.ctypes.data,
            STATE=states[0],
            STATE_2=states[1],
            ORDER=order.ctypes.data,
            START=start,
            STEP=step,
        )
        return self._run(np.asarray(betas, np.float64), program_fields.update_rates(optimizer, rates, step))

    def take_gradient(self, theta, gradient, order, start, step, beta) -> StepsTaken:
        """See :class:`FusedTrainer`. The program's step ends in an update: here in one that changes numbers nobody
        reads.
        """
        self._fill_layers(theta, gradient)
        if self._unused is None:
            self._unused = np.zeros_like(theta)
        self._set(
            THETA=self._unused.ctypes.data,
            GRADIENT=gradient.ctypes.data,
            STATE=0,
            STATE_2=0,
            ORDER=order.ctypes.data,
            START=start,
            STEP=step,
            OPTIMIZER=Operation.SGD,
            FLUSH=0,
            FLUSH_2=0,
        )
        try:
            return self._run(np.array([beta], np.float64), np.zeros((1, 2)))
        finally:
            self._fill_settings()


class NumbaEvaluator(CompiledRun):
    """The parts of the ELBO of all rows of x."""

    def evaluate(self, theta, seed: int, purpose: str, beta: float) -> tuple[int, dict]:
        """The rows and the sums of the parts of the ELBO over all of x, in order; see ``take_sums``.

        Batch number k has the noise (seed, purpose, step k).
        """
        self._fill_layers(theta, theta)
        self._set(SEED=seed, NOISE_PURPOSE=PURPOSES[purpose], ORDER=0, START=0, STEP=0, GRADIENT_TOO=0)
        self._run(np.full(-(-len(self._x) // self._batch), beta))
        return self.take_sums()
