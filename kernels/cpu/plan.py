"""What the compiled program is told: a row of 64-bit integers, most of them addresses.

Field k of a plan is at ``plan[k]``. Python fills a plan in, compiled code reads it, and both take the names from
here. Field 0 is always the operation; what the others mean follows from it.
"""

from __future__ import annotations

from enum import IntEnum


class Operation(IntEnum):
    """The program's entries: training steps, and the operations of the backend interface one by one."""

    TRAIN = 0
    RMSPROP_INSIDE = 1
    RMSPROP_OUTSIDE = 2
    ADAM = 3
    SGD = 4
    MOMENTUM = 5
    FLUSH = 6
    BERNOULLI = 7
    BERNOULLI_VALUE = 8
    SQUARED_ERROR = 9
    GAUSSIAN = 10
    SCALE_ROWS = 11
    SAMPLE = 12
    SAMPLE_BACKWARD = 13
    KL = 14
    KL_BACKWARD = 15
    KL_BACKWARD_SCALED = 16
    ACTIVATION = 17
    PRODUCT = 18
    NORMAL = 19
    DRAW_BERNOULLI = 20
    ELEMENTARY = 21


class Epilogue(IntEnum):
    """What follows a product: y = f(a + b) forwards, da = dy f'(a), written in y, backwards."""

    NONE = 0
    IDENTITY = 1
    RELU = 2
    TANH = 3
    SOFTPLUS = 4
    RELU_BACKWARD = 5
    TANH_BACKWARD = 6
    SOFTPLUS_BACKWARD = 7


#: Epilogues by an activation's name.
FORWARD = {"identity": Epilogue.IDENTITY, "relu": Epilogue.RELU, "tanh": Epilogue.TANH, "softplus": Epilogue.SOFTPLUS}
BACKWARD = {
    "identity": Epilogue.NONE,
    "relu": Epilogue.RELU_BACKWARD,
    "tanh": Epilogue.TANH_BACKWARD,
    "softplus": Epilogue.SOFTPLUS_BACKWARD,
}


class Likelihood(IntEnum):
    """Likelihoods that the training program knows."""

    BERNOULLI = 0
    FIXED_VARIANCE = 1


class Estimator(IntEnum):
    """Estimators of the encoder's gradient of the importance-weighted bound."""

    STANDARD = 0
    STL = 1
    DREG = 2


Train = IntEnum(
    "Train",
    [
        "OPERATION",
        # threads: how many, the shares of a phase, a multiple of that; their counters and the functions by which they
        # wait, see threads.py; scratch memory of each
        "THREADS",
        "SHARES",
        "SYNC",
        "FUTEX",
        "FUTEX_CALL",
        "YIELD",
        "SCRATCH",
        "SCRATCH_BYTES",
        # rows: the step takes ORDER[START], ... of DATA, up to BATCH of them and never beyond TOTAL
        "DATA",
        "ORDER",
        "START",
        "TOTAL",
        "BATCH",
        "STEPS",
        # random numbers: step number of the first step; BINARIZE_PURPOSE 0 for none
        "STEP",
        "SEED",
        "NOISE_PURPOSE",
        "BINARIZE_PURPOSE",
        # the model: sizes, and records of the layers in order: encoder, two heads, decoder, the likelihood's heads
        "FEATURES",
        "LATENT",
        "LAYERS",
        "ENCODER",
        "DECODER",
        "HEADS",
        "LIKELIHOOD",
        "GRADIENT_TOO",
        # arrays of the batch
        "X",
        "SPARSE_X",
        "EPS",
        "Z",
        "KL_ROWS",
        "NLL",
        "D_Z",
        # the importance-weighted bound: samples of z a row, 0 for the ELBO; arrays by row of x, or by sample and row of
        # x
        "SAMPLES",
        "ESTIMATOR",
        "RATIO",
        "WEIGHTS",
        "LOSS_ROWS",
        "BOUND_ROWS",
        # parameters; the optimiser is one of Operation's; every how many steps its states are flushed, 0 for never
        "PARAMETERS",
        "THETA",
        "GRADIENT",
        "STATE",
        "STATE_2",
        "OPTIMIZER",
        "FLUSH",
        "FLUSH_2",
        # float64 arrays: constants; a step's rate and Adam's root_scale (two numbers), beta, loss
        # and gradient norm; sums over rows; partial sums of the norm
        "CONSTANTS",
        "RATES",
        "BETAS",
        "LOSSES",
        "NORMS",
        "SUMS",
        "PARTIAL",
        # results: steps done, and 1 if the next is left to the caller because its numbers are not ordinary
        "DONE",
        "REFUSED",
    ],
    start=0,
)

#: One matrix product, C = A B in one of the forms of sizes.py, and what follows it: see gemm.py. THREADS divide it,
#: each with SCRATCH_BYTES of SCRATCH. SPARSE: room for the list of a sparse A, else 0.
Product = IntEnum(
    "Product",
    [
        "OPERATION",
        "THREADS",
        "SCRATCH",
        "SCRATCH_BYTES",
        "SPARSE",
        "A",
        "LDA",
        "B",
        "LDB",
        "C",
        "LDC",
        "M",
        "N",
        "K",
        "FORM",
        "ADD",
        "EPILOGUE",
        "P",
        "Q",
    ],
    start=0,
)

#: A layer's record: arrays, sizes, codes. D_OUTPUT is the gradient by a = x W + b; D_INPUT is 0 if not wanted.
#: SPARSE: the input is the data.
Layer = IntEnum(
    "Layer",
    [
        "W",
        "B",
        "D_W",
        "D_B",
        "INPUTS",
        "OUTPUTS",
        "EPILOGUE",
        "INPUT",
        "OUTPUT",
        "D_OUTPUT",
        "D_INPUT",
        "D_EPILOGUE",
        "ADD",
        "SPARSE",
    ],
    start=0,
)

#: The training plan's CONSTANTS.
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
        "LOG_SAMPLES",
    ],
    start=0,
)

#: Bytes of a layer's record.
RECORD = 8 * len(Layer)
#: Where an update's plan has its learning rate, and then Adam's root_scale: behind the constants.
RATE = len(Constant)
