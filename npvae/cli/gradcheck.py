"""``npvae gradcheck``: every hand-written gradient against finite differences, a row a tensor."""

from __future__ import annotations

import time

import numpy as np

from npvae import backend as backends
from npvae.cli import choices, common, output
from npvae.gradcheck import own_gradients

HEADER = f"{'tensor':<24} {'shape':<12} {'checked':<26} {'worst relative error':>20}"


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "gradcheck",
        help="check every gradient against finite differences; exit code 1 if one is wrong",
        description="Compare every hand-written gradient with central differences in float64, along every "
        "element of small tensors and along random unit vectors of large ones, with a random upstream "
        "gradient. One row a tensor; exit code 1 if any is off by more than its bound.",
    )
    parser.add_argument("--model", help="check this trained model instead, at its own parameters and size")
    common.add_seed(parser)
    common.add_backend(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    started = time.perf_counter()
    ops = backends.get(choices.parse_choice(options.backend))
    cases = own_gradients.cases(ops, options.seed) if options.model is None else [_model_case(options, ops)]
    tensors, failures, worst = 0, 0, 0.0
    for case in cases:
        report = case.check(options.seed)
        output.say(f"\n{case.title} (bound {case.rtol:g})\n{HEADER}")
        for row in report.rows:
            shape = "x".join(map(str, row.shape)) or "scalar"
            verdict = "ok" if row.passed else "FAIL"
            output.say(f"{row.name:<24} {shape:<12} {row.checked:<26} {row.error:>20.1e}  {verdict}")
            if not row.passed:
                output.say(f"    at {row.where}: by hand {row.analytic:.12g}, by differences {row.numeric:.12g}")
        tensors += len(report.rows)
        failures += sum(not row.passed for row in report.rows)
        worst = max(worst, report.worst.error)
    verdict = "every gradient is right" if failures == 0 else f"{failures} GRADIENTS ARE WRONG"
    output.say(
        f"\n{tensors} tensors checked on the {ops.name} backend, worst relative error {worst:.1e}: {verdict} "
        f"({time.perf_counter() - started:.1f} s)"
    )
    return 1 if failures else 0


def _model_case(options, ops):
    """The ELBO of a trained model at its own parameters, on random data that its likelihood accepts."""
    vae = common.load_model(options)
    return own_gradients.model_case(
        ops,
        vae.model_.architecture,
        np.random.default_rng(options.seed),
        rows=16,
        title=f"negative ELBO of {options.model}",
        theta=vae.theta_.astype(np.float64),
    )
