"""The CUDA sources as text, and the table of their kernels.

A source is a ``.cu`` file of this folder with its includes put in, once each. They are put in here, and not by the
compiler, because CuPy keeps compiled code by the text it was given, and would not notice a change in another file.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

from npvae.kernels.gpu.records import PHASE, definitions

#: Names of dtypes in Python and in C++.
DTYPES = {"float32": "float", "float64": "double"}

_INCLUDE = re.compile(r'^#include "(\w+\.cu)"\n', re.MULTILINE)
_ARRAY = re.compile(r"(?P<write>\*?)(?P<name>\w+)(?P<integers>:int64)?\[(?P<size>[^]]*)\](?P<optional>\??)$")


@dataclass(frozen=True)
class Array:
    """An array that a kernel is given: as many elements as the product of the named sizes."""

    name: str
    written: bool
    dtype: str | None  #: None for the kernel's own
    size: tuple[str, ...]  #: empty for any
    optional: bool  #: may be left out: a null address


@dataclass(frozen=True)
class Kernel:
    """A kernel: its source, and its arguments in order: arrays, whole numbers, numbers of the kernel's dtype."""

    name: str
    file: str
    arrays: tuple[Array, ...]
    integers: tuple[str, ...]
    numbers: tuple[str, ...]
    records: tuple[str, ...]  #: passed by value before all others


def _kernel(name: str, file: str, arrays: str = "", integers: str = "", numbers: str = "", records: str = "") -> Kernel:
    parsed = []
    for text in arrays.split():
        match = _ARRAY.match(text)
        assert match is not None, text
        parsed.append(
            Array(
                match["name"],
                bool(match["write"]),
                "int64" if match["integers"] else None,
                tuple(match["size"].split("*")) if match["size"] else (),
                bool(match["optional"]),
            )
        )
    return Kernel(name, file, tuple(parsed), tuple(integers.split()), tuple(numbers.split()), tuple(records.split()))


#: Every kernel. Of an array: ``*`` it is written, ``[n*m]`` its elements, ``?`` it may be missing.
KERNELS = {
    kernel.name: kernel
    for kernel in (
        _kernel("add_bias_and_activate", "activations.cu", "*a[n] b[columns]", "n columns kind"),
        _kernel("activation_backward", "activations.cu", "dy[n] y[n] *da[n]", "n kind"),
        _kernel("sample_forward", "latent.cu", "mu[n] logvar[n] eps[n] *z[n]", "n"),
        _kernel("sample_backward", "latent.cu", "dz[n] logvar[n] eps[n] *dlogvar[n]", "n"),
        _kernel("kl_forward", "latent.cu", "mu[n] logvar[n] *kl[n]", "n"),
        _kernel("kl_backward", "latent.cu", "dkl[n] mu[n] logvar[n] *dmu[n] *dlogvar[n]", "n"),
        _kernel("kl_backward_of_number", "latent.cu", "mu[n] logvar[n] *dmu[n] *dlogvar[n]", "n", "dkl"),
        _kernel(
            "bernoulli_nll",
            "likelihoods.cu",
            "logits[rows*columns] x[rows*columns] *nll[rows] *residual[rows*columns]?",
            "rows columns",
        ),
        _kernel(
            "squared_error",
            "likelihoods.cu",
            "mean[rows*columns] x[rows*columns] *sse[rows] *difference[rows*columns]",
            "rows columns",
        ),
        _kernel(
            "gaussian_nll",
            "likelihoods.cu",
            "mean[rows*columns] logvar[rows*columns] x[rows*columns] *nll[rows] *d_mean[rows*columns]? "
            "*d_logvar[rows*columns]?",
            "rows columns",
        ),
        _kernel("take_rows", "rows.cu", "x[n*columns] indices:int64[rows] *out[rows*columns]", "n columns rows"),
        _kernel("scale_rows", "rows.cu", "x[rows*columns] factor[rows] *out[rows*columns]", "rows columns"),
        _kernel("scale", "rows.cu", "x[n] *out[n]", "n", "factor"),
        _kernel("column_sums", "rows.cu", "x[rows*columns] *sums[columns]", "rows columns"),
        _kernel("rmsprop_inside_step", "optimizers.cu", "*theta[n] gradient[n] *v[n]", "n", "rate rho share epsilon"),
        _kernel("rmsprop_outside_step", "optimizers.cu", "*theta[n] gradient[n] *v[n]", "n", "rate rho share epsilon"),
        _kernel(
            "adam_step",
            "optimizers.cu",
            "*theta[n] gradient[n] *m[n] *v[n]",
            "n",
            "rate beta1 share1 beta2 share2 epsilon root_scale",
        ),
        _kernel("sgd_step", "optimizers.cu", "*theta[n] gradient[n]", "n", "rate"),
        _kernel("momentum_step", "optimizers.cu", "*theta[n] gradient[n] *velocity[n]", "n", "rate factor"),
        _kernel("flush_tiny", "optimizers.cu", "*x[n]", "n", "tiny"),
        _kernel("normal_numbers", "philox.cu", "*out[n]", "n seed purpose step"),
        _kernel("bernoulli_numbers", "philox.cu", "*x[n]", "n seed purpose step"),
        _kernel("multiply_16", "product.cu", "a[m*k] b[k*n] *c[m*n]", "m n k form"),
        _kernel("multiply_32", "product.cu", "a[m*k] b[k*n] *c[m*n]", "m n k form"),
        _kernel("multiply_64", "product.cu", "a[m*k] b[k*n] *c[m*n]", "m n k form"),
        _kernel("run_phase", "step.cu", integers="offset", records="phase"),
        _kernel("advance", "step.cu", "*call:int64[]", "steps"),
        _kernel("run_steps", "steps_together.cu", "phases:int64[]", "count"),
    )
}

#: Records by name: what is passed by value.
RECORDS = {"phase": PHASE}

#: The sources whose kernels need a cooperative launch.
COOPERATIVE = ("steps_together.cu",)


@cache
def fingerprint() -> str:
    """A short name for all of the sources."""
    return hashlib.sha256("".join(map(source, files())).encode()).hexdigest()[:20]


def files() -> list[str]:
    """The sources that have kernels."""
    return sorted({kernel.file for kernel in KERNELS.values()})


@cache
def source(*names: str) -> str:
    """Sources with everything they include, to be compiled alone."""
    known: set[str] = set()

    def expand(name: str) -> str:
        if name in known:
            return ""
        known.add(name)
        text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
        return _INCLUDE.sub(lambda match: expand(match[1]), text)

    return definitions() + "".join(expand(name) for name in names)


def instantiations(file: str) -> tuple[str, ...]:
    """The names of a source's kernels as C++ has them, for every dtype: ``sample_forward<float>``, ..."""
    return tuple(
        f"{kernel.name}<{kind}>" for kernel in KERNELS.values() if kernel.file == file for kind in DTYPES.values()
    )
