"""What Python and the CUDA sources must agree on: the names of codes and of the fields of records.

``definitions()`` is these names as C++, put before every source; records are arrays of 64-bit integers, most of them
addresses, field k at ``record[k]``. A phase's record is passed to its launch by value, so that a block finds all it
needs without a look into memory.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

Activation = IntEnum("Activation", ["IDENTITY", "RELU", "TANH", "SOFTPLUS"], start=0)
#: Their codes by name.
ACTIVATIONS = {code.name.lower(): code for code in Activation}

#: The products of a layer: x W, da W^T, x^T da.
Product = IntEnum("Product", ["X_W", "DA_WT", "XT_DA"], start=0)

Likelihood = IntEnum("Likelihood", ["BERNOULLI", "FIXED_VARIANCE"], start=0)

Optimizer = IntEnum("Optimizer", ["RMSPROP_INSIDE", "RMSPROP_OUTSIDE", "ADAM", "SGD", "MOMENTUM"], start=0)

#: The kinds of tasks of a step: see step.cu.
Kind = IntEnum(
    "Kind",
    [
        "GATHER",
        "DENSE",
        "LATENT",
        "OUTPUT",
        "WEIGHT_GRADIENT",
        "BIAS_GRADIENT",
        "INPUT_GRADIENT",
        "LATENT_GRADIENT",
        "UPDATE",
    ],
    start=0,
)

#: A task's record: how many tiles it has, of which side; the layer's sizes and arrays; for two layers side by side on
#: one input also those of the second. D_Y is the gradient by a = x W + b. PARTIAL: the place of its first partial sum.
Task = IntEnum(
    "Task",
    [
        "KIND",
        "TILES",
        "SIDE",
        "INPUTS",
        "OUTPUTS",
        "ACTIVATION",
        "X",
        "Y",
        "D_X",
        "D_Y",
        "D_Y_2",
        "W",
        "B",
        "D_W",
        "D_B",
        "W_2",
        "B_2",
        "PARTIAL",
        "NEXT",
    ],
    start=0,
)

#: Threads of a block.
THREADS = 512

#: Columns that a block sums up side by side.
SUM_COLUMNS = 32

#: Sides of the tiles of products (see product.cu): large ones do less work, small ones are more.
SIDES = (64, 32, 16)

#: Bytes of shared memory that the largest of these needs, of either dtype: Tile<T, 16>::NUMBERS numbers.
TILE_BYTES = 2 * 256 * 20 * 4

#: Rows of a tile of the latent space; it has half as many latent dimensions, with mean and log-variance of each.
LATENT_ROWS = 16

#: No phase has more tasks.
MOST_TASKS = 6

#: The plan's record: what a whole run keeps.
Plan = IntEnum(
    "Plan",
    [
        "CALL",  # the call's record
        # the model, the data, random numbers (BINARIZE_PURPOSE 0 for none)
        "FEATURES",
        "LATENT",
        "BATCH",
        "DATA",
        "LIKELIHOOD",
        "SEED",
        "NOISE_PURPOSE",
        "BINARIZE_PURPOSE",
        # arrays of a batch, (B, I) and (B, Z)
        "BATCH_X",
        "EPS",
        "MU",
        "LOGVAR",
        "Z",
        "D_MU",
        "D_LOGVAR",
        # parameters; every how many steps the states are flushed, 0 for never
        "PARAMETERS",
        "THETA",
        "GRADIENT",
        "STATE",
        "STATE_2",
        "OPTIMIZER",
        "FLUSH",
        "FLUSH_2",
        # float64: constants; partial sums of nll, of the gradient's square, of KL, mu, mu^2 by row of tiles; sums over
        # rows
        "CONSTANTS",
        "NLL_PARTIAL",
        "NLL_PARTS",
        "NORM_PARTIAL",
        "NORM_PARTS",
        "LATENT_PARTIAL",
        "LATENT_PARTS",
        "SUMS",
    ],
    start=0,
)

#: A call's record: rows ORDER[START], ... of the data, BATCH a step and never beyond TOTAL, for STEPS steps, the first
#: of them number STEP of the run. BASE: steps before the graph's first. REFUSED: the first step whose loss or gradient
#: is not finite, or LAST. RATES: learning rate and Adam's root_scale, two numbers a step.
Call = IntEnum(
    "Call",
    ["ORDER", "START", "TOTAL", "STEP", "STEPS", "BASE", "REFUSED", "RATES", "BETAS", "LOSSES", "NORMS", "ARRIVED"],
    start=0,
)

#: The largest 64-bit integer: no step has this number.
LAST = 2**63 - 1

#: The plan's CONSTANTS.
Constant = IntEnum(
    "Constant",
    [
        "LIKELIHOOD_SCALE",
        "LIKELIHOOD_FACTOR",
        "LIKELIHOOD_CONSTANT",
        "LONGEST",
        "RHO",
        "EPSILON",
        "BETA_1",
        "BETA_2",
        "MOMENTUM",
        "TINY",
    ],
    start=0,
)

#: SUMS: loss, reconstruction, then KL, mu and mu^2 by latent dimension.
SUMS_HEAD = 2

_ENUMS = (Activation, Product, Likelihood, Optimizer, Kind, Task, Plan, Call, Constant)


def definitions() -> str:
    """The names above in C++: ``activation::RELU``, ``task::KIND``, ...; ``task::FIELDS`` is how many there are."""
    lines = [
        f"namespace {kind.__name__.lower()} {{ enum {{ "
        + ", ".join(f"{entry.name} = {entry.value}" for entry in kind)
        + f", FIELDS = {len(kind)} }}; }}"
        for kind in _ENUMS
    ]
    numbers = {
        "THREADS": THREADS,
        "SUM_COLUMNS": SUM_COLUMNS,
        "SUMS_HEAD": SUMS_HEAD,
        "MOST_TASKS": MOST_TASKS,
        "LATENT_ROWS": LATENT_ROWS,
        "TILE_BYTES": TILE_BYTES,
    }
    return "\n".join([*lines, *(f"#define {name} {value}" for name, value in numbers.items()), ""])


#: A phase's record, which is passed to its launch by value: the plan, how many tasks and tiles, the tasks.
PHASE = np.dtype(
    [
        ("plan", np.int64, len(Plan)),
        ("tasks", np.int64),
        ("tiles", np.int64),
        ("task", np.int64, (MOST_TASKS, len(Task))),
    ]
)
