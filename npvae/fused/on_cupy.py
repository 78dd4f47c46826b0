"""Many training steps on the GPU without the host between them.

A step is some ten launches (cupy_phases.py), and at the sizes of a small VAE their cost is the step's. So many steps
are captured as one CUDA graph and launched together; or all of them are one cooperative launch. Both are the same
arithmetic in the same order, to the bit. The host writes down learning rates and weights before, and reads losses,
gradient norms and whether a step was refused after: one copy each way a call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npvae.fused import program_fields
from npvae.fused.base import FusedTrainer, StepsTaken
from npvae.fused.cupy_phases import Phases
from npvae.kernels.gpu.records import LAST, PHASE, SUMS_HEAD, THREADS, TILE_BYTES, Call, Constant, Likelihood, Optimizer

#: Steps of a graph. Launching one costs some microseconds, capturing one some milliseconds.
GRAPH_STEPS = 16

#: A call's steps, at most: what the memory for its numbers is made for.
MOST_STEPS = 2048


class CupyTrainer(FusedTrainer):
    """A model and settings, ready to be trained on the rows of x (N, I), an array on the GPU."""

    def __init__(self, ops, model, settings, x) -> None:
        self._ops, self._model, self._settings, self._x = ops, model, settings, x
        self._xp, self._dtype = ops.xp, x.dtype.name
        self._batch = min(settings.batch_size, len(x))
        self._latent = model.architecture.latent_dim
        self._rows = 0
        device = self._xp.cuda.Device()
        self._multiprocessors = device.attributes["MultiProcessorCount"]
        self._phases = Phases(model.architecture, self._batch, self._multiprocessors)
        self._allocate()
        self._bound: tuple = ()
        self._unused = None  # in the place of theta where a step must not change it
        self._graph: Any = None

    def _allocate(self) -> None:
        """The memory of a run: a batch's arrays, the calls' numbers, sums."""
        xp = self._xp
        self._arrays = {name: xp.zeros(size, self._dtype) for name, size in self._phases.arrays().items()}
        self._sums = xp.zeros(SUMS_HEAD + 3 * self._latent, xp.float64)
        self._latent_partial = xp.zeros(3 * self._latent * self._phases.latent_parts, xp.float64)
        values = np.zeros(len(Constant))
        for name, value in program_fields.constants(self._model, self._settings).items():
            values[Constant[name.upper()]] = value
        self._constants = xp.asarray(values)
        # A call's record, then its numbers: losses, norms, rates (two a step), betas.
        self._call = xp.zeros(len(Call) + 5 * MOST_STEPS, xp.int64)

    def _bind(self, theta, gradient, updated, states: dict, **fields) -> None:
        """Make the phases' records for these vectors, if they are not those of the last call.

        updated, states: what the optimiser's rule changes. fields: of the plan, instead of those of the settings.
        """
        vectors = (theta, gradient, updated, *states.values())
        if len(vectors) == len(self._bound) and all(a is b for a, b in zip(vectors, self._bound, strict=True)):
            return
        for name, vector in zip(("theta", "gradient", "theta", *states), vectors, strict=True):
            self._ops.kernels.check_array(name, vector, self._dtype)
        pointer = {name: array.data.ptr for name, array in self._arrays.items()}
        views, into = (
            {name: view.data.ptr for name, view in self._model.views(vector).items()} for vector in (theta, gradient)
        )
        phases = self._phases
        phases.build(pointer, views, into, self._model.layout.size)
        self._partial = self._xp.zeros(phases.nll_parts + phases.norm_parts, self._xp.float64)
        addresses = [*(vector.data.ptr for vector in states.values()), 0, 0]
        phases.set_plan(
            **{name: pointer[name] for name in ("BATCH_X", "EPS", "MU", "LOGVAR", "Z", "D_MU", "D_LOGVAR")},
            CALL=self._call.data.ptr,
            DATA=self._x.data.ptr,
            BATCH=self._batch,
            FEATURES=self._model.architecture.n_features,
            LATENT=self._latent,
            PARAMETERS=self._model.layout.size,
            THETA=updated.data.ptr,
            GRADIENT=gradient.data.ptr,
            STATE=addresses[0],
            STATE_2=addresses[1],
            CONSTANTS=self._constants.data.ptr,
            NLL_PARTIAL=self._partial.data.ptr,
            NLL_PARTS=phases.nll_parts,
            NORM_PARTIAL=self._partial[phases.nll_parts :].data.ptr,
            NORM_PARTS=phases.norm_parts,
            LATENT_PARTIAL=self._latent_partial.data.ptr,
            LATENT_PARTS=phases.latent_parts,
            SUMS=self._sums.data.ptr,
            LIKELIHOOD=Likelihood[program_fields.likelihood_code(self._model.likelihood)],
            **(program_fields.settings_fields(self._settings, Optimizer) | fields),
        )
        self._bound, self._graph = vectors, None
        if self._ops.launch_mode == "cooperative":
            self._records = self._xp.asarray(phases.records.view(np.int64))

    def take_steps(self, theta, gradient, state, order, start, step, rates, betas) -> StepsTaken:
        """See :class:`FusedTrainer`; the first ``MOST_STEPS`` of more steps than that."""
        names = program_fields.STATES[type(self._settings.optimizer)]
        self._bind(theta, gradient, theta, {name: state[name] for name in names if name in state})
        steps = min(len(rates), MOST_STEPS)
        return self._take(
            order, start, step, program_fields.update_rates(self._settings.optimizer, rates[:steps], step), betas
        )

    def take_gradient(self, theta, gradient, order, start, step, beta) -> StepsTaken:
        """See :class:`FusedTrainer`. The kernels' step ends in an update: here in one that changes numbers nobody
        reads.
        """
        if self._unused is None:
            self._unused = self._xp.zeros(theta.size, self._dtype)
        self._bind(theta, gradient, self._unused, {}, OPTIMIZER=Optimizer.SGD, FLUSH=0, FLUSH_2=0)
        return self._take(order, start, step, np.zeros((1, 2)), [beta])

    def _take(self, order, start, step, pairs, betas) -> StepsTaken:
        """As many steps as there are pairs of rates, for the vectors that are bound."""
        self._ops.kernels.check_array("order", order, "int64")
        steps = len(pairs)
        self._write_call(order, start, step, pairs, np.asarray(betas[:steps], np.float64))
        self._launch(steps)
        return self._read_call(steps, len(order) - start)

    def _write_call(self, order, start, step, rates, betas) -> None:
        """The call's record and numbers to the GPU, in one copy."""
        steps, record = len(betas), np.zeros(len(Call), np.int64)
        place = self._call.data.ptr + 8 * len(record)
        fields = {
            "ORDER": order.data.ptr,
            "START": start,
            "TOTAL": len(order),
            "STEP": step,
            "STEPS": steps,
            "REFUSED": LAST,
            "LOSSES": place,
            "NORMS": place + 8 * steps,
            "RATES": place + 16 * steps,
            "BETAS": place + 32 * steps,
        }
        for name, value in fields.items():
            record[Call[name]] = value
        numbers = np.concatenate([np.zeros(2 * steps), rates.reshape(-1), betas]).view(np.int64)
        self._call[: len(record) + len(numbers)].set(np.concatenate([record, numbers]))

    def _read_call(self, steps: int, rows: int) -> StepsTaken:
        """What the call came to, in one copy; it waits for the GPU."""
        numbers = self._ops.to_numpy(self._call[: len(Call) + 2 * steps])
        done = min(steps, int(numbers[Call.REFUSED]))
        self._rows += min(done * self._batch, rows)
        losses, norms = numbers[len(Call) :].view(np.float64).reshape(2, steps)
        return StepsTaken(done, losses[:done], norms[:done])

    def _launch(self, steps: int) -> None:
        if self._ops.launch_mode == "cooperative":
            return self._launch_together()
        self._launch_phase(self._phases.records[0], 0)
        graphs = steps // GRAPH_STEPS if self._ops.launch_mode == "graph" else 0
        if graphs and self._graph is None:
            self._graph = self._capture()
        for _ in range(graphs):
            self._graph.launch(self._xp.cuda.get_current_stream())
        for offset in range(steps - graphs * GRAPH_STEPS):
            self._launch_step(offset)

    def _launch_phase(self, record, offset: int) -> None:
        function = self._ops.kernels.function("run_phase", self._dtype)
        arguments = (np.array(record, PHASE), np.int64(offset))
        function((int(record["tiles"]),), (THREADS,), arguments, shared_mem=TILE_BYTES)

    def _launch_step(self, offset: int) -> None:
        for record in self._phases.records[1:]:
            self._launch_phase(record, offset)

    def _launch_advance(self, steps: int) -> None:
        self._ops.kernels.function("advance", self._dtype)((1,), (1,), (self._call, np.int64(steps)))

    def _capture(self):
        """A graph of ``GRAPH_STEPS`` steps, which leaves the call's BASE that much further."""
        self._launch_advance(0)  # so that the kernel is there: nothing may be loaded while a graph is captured
        stream = self._xp.cuda.Stream(non_blocking=True)
        with stream:
            stream.begin_capture()
            try:
                for offset in range(GRAPH_STEPS):
                    self._launch_step(offset)
                self._launch_advance(GRAPH_STEPS)
            finally:
                graph = stream.end_capture()
        return graph

    def _launch_together(self) -> None:
        """All steps in one cooperative launch."""
        function = self._ops.kernels.function("run_steps", self._dtype)
        shared = TILE_BYTES + PHASE.itemsize
        driver = self._xp.cuda.driver
        resident = driver.occupancyMaxActiveBlocksPerMultiprocessor(function.kernel.ptr, THREADS, shared)
        blocks = min(int(self._phases.records["tiles"].max()), resident * self._multiprocessors)
        arguments = (self._records, np.int64(len(self._phases.records)))
        function((blocks,), (THREADS,), arguments, shared_mem=shared)

    def take_sums(self) -> tuple[int, dict]:
        """See :class:`FusedTrainer`."""
        rows, self._rows = self._rows, 0
        sums = self._ops.to_numpy(self._sums)
        self._sums.fill(0)
        return rows, program_fields.sums_by_name(sums[:SUMS_HEAD], sums[SUMS_HEAD:].reshape(3, self._latent).copy())
