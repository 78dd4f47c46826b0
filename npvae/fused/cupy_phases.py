"""A training step on the GPU as phases of tasks, by the records that npvae/kernels/gpu/step.cu reads.

gather                                            the first batch's rows (once, before the first step)
x -> h -> ... -> mu, logvar, z -> h -> ... -> outputs, likelihood        a phase a layer, both heads in one
outputs' dW, db, dx; ... a phase a layer, back to the first
update, and the next batch's rows
"""

from __future__ import annotations

from typing import Any

import numpy as np

from npvae.backend import codes
from npvae.kernels.gpu.records import (
    ACTIVATIONS,
    LATENT_ROWS,
    MOST_TASKS,
    PHASE,
    SIDES,
    SUM_COLUMNS,
    THREADS,
    Kind,
    Plan,
    Task,
)

#: Of a GPU's multiprocessors, the part that a product's tiles must keep busy; else they are made smaller.
BUSY = 0.75

#: Elements of a tile of the update, and of the rows taken: four a thread, more where the GPU holds no more blocks.
ELEMENTS_A_TILE = 4 * THREADS

#: Blocks that a multiprocessor holds at a time: 512 threads of 128 registers are all that it has.
RESIDENT = 1


def parts(count: int, size: int) -> int:
    """How many parts of a size hold so many."""
    return -(-count // size)


def tiles(side: int, rows: int, columns: int) -> int:
    """Tiles of a matrix."""
    return parts(rows, side) * parts(columns, side)


def side_of(rows: int, columns: int, multiprocessors: int) -> int:
    """The side of the tiles of a product: the largest that are enough to keep the multiprocessors busy."""
    return next((side for side in SIDES if tiles(side, rows, columns) >= BUSY * multiprocessors), SIDES[-1])


def last_to_first(layers) -> list[tuple]:
    """Each layer with the one below it, None for the first."""
    return list(zip(layers, [None, *layers], strict=False))[::-1]


class Phases:
    """The phases of a model's step for batches of ``batch`` rows, on a GPU of so many multiprocessors.

    addresses: of the batch's arrays by name, from ``arrays``. theta, gradient: their tensors' addresses by name.
    ``records`` are to be launched in order, the first before the first step only; ``nll_parts``, ``norm_parts`` and
    ``latent_parts`` are how many partial sums they make.
    """

    def __init__(self, architecture, batch: int, multiprocessors: int) -> None:
        self._batch, self._multiprocessors = batch, multiprocessors
        self._architecture = architecture
        self.latent_parts = parts(batch, LATENT_ROWS)
        (self._encoder, (self._mean, self._log_variance)), (self._decoder, outputs) = (
            architecture.encoder(),
            architecture.decoder(),
        )
        (self._output,) = outputs  # the likelihoods of coverage.py have one
        self._dense = [*self._encoder, *self._decoder]

    def arrays(self) -> dict[str, int]:
        """The arrays of a batch that the phases need: name and how many numbers."""
        rows, latent = self._batch, self._architecture.latent_dim
        sizes = {"BATCH_X": rows * self._architecture.n_features}
        sizes.update({name: rows * latent for name in ("EPS", "MU", "LOGVAR", "Z", "D_MU", "D_LOGVAR")})
        for layer in self._dense:
            sizes[layer.name] = sizes[f"d {layer.name}"] = rows * layer.outputs
        sizes[f"d {self._output.name}"] = rows * self._output.outputs
        return sizes

    def build(self, addresses: dict[str, int], theta: dict[str, int], gradient: dict[str, int], parameters: int):
        """Write ``records``: an array of PHASE."""
        self._addresses, self._theta, self._gradient = addresses, theta, gradient
        self.nll_parts = self.norm_parts = 0
        gather, update = self._elementwise_tiles(self._batch * self._architecture.n_features, parameters)
        self.records = self._records(
            [
                [self._task(Kind.GATHER, gather)],
                *self._forward_phases(),
                *self._backward_phases(),
                [self._task(Kind.UPDATE, update), self._task(Kind.GATHER, gather, next=1)],
            ]
        )

    def _forward_phases(self) -> list[list]:
        phases = [[self._forward(layer, x)] for layer, x in self._with_inputs(self._encoder, "BATCH_X")]
        phases.append([self._latent(self._end_of_encoder())])
        *hidden, (_, last) = self._with_inputs([*self._decoder, self._output], "Z")
        phases += [[self._forward(layer, x)] for layer, x in hidden]
        return [*phases, [self._likelihood(last)]]

    def _backward_phases(self) -> list[list]:
        phases = []
        for (layer, x), lower in last_to_first(self._with_inputs([*self._decoder, self._output], "Z")):
            phases.append(self._gradients([layer], x, lower[0] if lower else Kind.LATENT_GRADIENT))
        phases.append(
            self._gradients([self._mean, self._log_variance], self._end_of_encoder(), (self._encoder or [None])[-1])
        )
        for (layer, x), lower in last_to_first(self._with_inputs(self._encoder, "BATCH_X")):
            phases.append(self._gradients([layer], x, lower and lower[0]))
        return phases

    def _with_inputs(self, layers, first: str) -> list[tuple]:
        """Layers one after the other, each with the address of its input: the first's is the array ``first``."""
        below = [first, *(layer.name for layer in layers)]
        return [(layer, self._addresses[name]) for layer, name in zip(layers, below, strict=False)]

    def _end_of_encoder(self) -> int:
        return self._addresses[self._encoder[-1].name if self._encoder else "BATCH_X"]

    def _records(self, phases) -> np.ndarray:
        records = np.zeros(len(phases), PHASE)
        for record, tasks in zip(records, phases, strict=True):
            assert len(tasks) <= MOST_TASKS
            record["tasks"], record["tiles"] = len(tasks), sum(task[Task.TILES] for task in tasks)
            for place, task in enumerate(tasks):
                record["task"][place] = task
        return records

    def set_plan(self, **fields: int) -> None:
        """Write fields of the plan, the same in every record."""
        for name, value in fields.items():
            self.records["plan"][:, Plan[name]] = value

    def _task(self, kind: Kind, count: int, **fields: int) -> np.ndarray:
        task = np.zeros(len(Task), np.int64)
        task[Task.KIND], task[Task.TILES] = kind, count
        for name, value in fields.items():
            task[Task[name.upper()]] = value
        return task

    def _elementwise_tiles(self, *elements: int) -> list[int]:
        """Tiles for so many elements each, together no more than the GPU holds at a time."""
        room, total = RESIDENT * self._multiprocessors, sum(elements)
        return [min(parts(count, ELEMENTS_A_TILE), max(1, room * count // total)) for count in elements]

    def _product(self, kind: Kind, layer, rows: int, columns: int, side: int | None = None, **fields: int):
        side = side or side_of(rows, columns, self._multiprocessors)
        return self._task(
            kind, tiles(side, rows, columns), side=side, inputs=layer.inputs, outputs=layer.outputs, **fields
        )

    def _of_layer(self, kind: Kind, layer, x: int, **fields: int):
        """The task of x W + b."""
        return self._product(kind, layer, self._batch, layer.outputs, x=x, **self._weights(layer), **fields)

    def _weights(self, layer) -> dict[str, int]:
        return {"w": self._theta[layer.W], "b": self._theta[layer.b]}

    def _forward(self, layer, x: int):
        return self._of_layer(
            Kind.DENSE,
            layer,
            x,
            y=self._addresses[layer.name],
            activation=codes.code_of("activation", layer.activation, ACTIVATIONS, "cupy"),
        )

    def _latent(self, x: int):
        second = {f"{name}_2": address for name, address in self._weights(self._log_variance).items()}
        # A tile has mean and log-variance side by side, so it holds half as many latent dimensions.
        return self._product(
            Kind.LATENT,
            self._mean,
            self._batch,
            2 * self._mean.outputs,
            LATENT_ROWS,
            x=x,
            **self._weights(self._mean),
            **second,
        )

    def _likelihood(self, x: int):
        task = self._of_layer(Kind.OUTPUT, self._output, x, d_y=self._d(self._output), partial=self.nll_parts)
        self.nll_parts += int(task[Task.TILES])
        return task

    def _d(self, layer) -> int:
        """Where the gradient by a layer's a = x W + b is."""
        heads = {self._mean: "D_MU", self._log_variance: "D_LOGVAR"}
        return self._addresses[heads.get(layer, f"d {layer.name}")]

    def _gradients(self, layers, x: int, lower) -> list:
        """The tasks of the gradients of one or two layers on the input x: by it, if there is a layer ``lower`` that
        made it, and by their weights and biases.

        lower: Kind.LATENT_GRADIENT if x is z, which mu and logvar made; None if x is the data.
        """
        tasks = [] if lower is None else [self._by_input(layers, x, lower)]  # its sums are the longest
        for layer in layers:
            tasks += self._by_parameters(layer, x)
        return tasks

    def _by_parameters(self, layer, x: int) -> list:
        """The tasks of dW and db."""
        weights = self._product(
            Kind.WEIGHT_GRADIENT,
            layer,
            layer.inputs,
            layer.outputs,
            x=x,
            d_y=self._d(layer),
            d_w=self._gradient[layer.W],
            partial=self.norm_parts,
        )
        self.norm_parts += int(weights[Task.TILES])
        biases = self._task(
            Kind.BIAS_GRADIENT,
            parts(layer.outputs, SUM_COLUMNS),
            outputs=layer.outputs,
            d_y=self._d(layer),
            d_b=self._gradient[layer.b],
            partial=self.norm_parts,
        )
        self.norm_parts += int(biases[Task.TILES])
        return [weights, biases]

    def _by_input(self, layers, x: int, lower):
        """The gradient by the a of the layer ``lower``, which made x, or by mu and logvar, which made z."""
        fields: dict[str, Any] = {}
        for end, layer in zip(("", "_2"), layers, strict=False):
            fields |= {f"w{end}": self._theta[layer.W], f"d_y{end}": self._d(layer)}
        if lower is Kind.LATENT_GRADIENT:
            return self._product(lower, layers[0], self._batch, layers[0].inputs, **fields)
        return self._product(
            Kind.INPUT_GRADIENT,
            layers[0],
            self._batch,
            layers[0].inputs,
            x=x,
            d_x=self._d(lower),
            activation=codes.code_of("activation", lower.activation, ACTIVATIONS, "cupy"),
            **fields,
        )
