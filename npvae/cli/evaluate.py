"""``npvae evaluate``: what a trained model is worth, in a table and as JSON."""

from __future__ import annotations

import json

import numpy as np

from npvae.cli import columns, common, numbers, output, outputs
from npvae.data import DATASETS
from npvae.errors import InputError
from npvae.evaluation import report
from npvae.support.files import write_text_atomically


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="ELBO, log p(x), squared error, neighbours and more, of a trained model",
        description="Measure a trained model: the ELBO and its parts, log p(x) by importance sampling with its errors, "
        "squared error, how the aggregate posterior lies to the prior, and, of the test part of a data set with "
        "labels, "
        "the accuracy of 15 nearest neighbours in the latent space.",
    )
    common.add_model(parser)
    common.add_data(parser)
    common.add_part(parser)
    parser.add_argument("--rows", type=numbers.whole(1), help="only so many rows, the first (default: all)")
    parser.add_argument(
        "--samples",
        type=numbers.whole(0),
        default=1000,
        help="samples of z a row for log p(x) (default 1000; papers take 5000; 0 leaves it out)",
    )
    parser.add_argument(
        "--at-once", type=numbers.whole(1), help="samples decoded at a time (default 1024): the memory, not the result"
    )
    parser.add_argument(
        "--json", type=outputs.output_file, help="also write the numbers to this file, or - for standard output"
    )
    columns.add_unseen(parser)
    common.add_seed(parser, default=None)
    common.add_backend(parser)
    parser.add_argument(
        "--threads", type=numbers.threads, help="how many to run on (default: all cores this process may use)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    if options.json is not None:
        outputs.refuse(
            [outputs.Output("--json", options.json)], [("the model", options.model), ("--data", options.data)]
        )
    vae = common.load_model(options)
    if common.choose_data(options, vae) and options.json is not None:
        outputs.refuse([outputs.Output("--json", options.json)], [("--data", options.data)])
    data = columns.read_for(vae, options)
    X, rows, labels = data.X, data.rows, data.labels
    if options.rows is not None:
        rows = options.rows
        if rows > data.rows:
            raise InputError(f"--rows is {rows}, but the data have {data.rows} rows")
        X, labels = (
            common.with_names(np.asarray(X)[:rows], getattr(X, "columns", None)),
            None if labels is None else labels[:rows],
        )
    neighbours = {}
    if options.data in DATASETS and options.part == "test" and labels is not None:
        train_x, train_labels, _, _ = common.read_data(options, "train")
        neighbours = {"y": labels, "X_train": train_x, "y_train": train_labels}
    with columns.naming_lines(data.table):
        result = report.evaluate_model(
            vae,
            X,
            **neighbours,
            samples=options.samples,
            at_once=options.at_once,
            random_state=options.seed,
            verbose=not options.quiet,
        )
    if not options.quiet:
        output.say(f"{options.data}, {rows} rows; nats a row")
        output.say(report.describe(result))
        output.say(
            f"{sum(result['seconds'].values()):.1f} s on the {vae.model_.ops.name} backend, seed {result['seed']}"
        )
    if options.json is not None:
        write_text_atomically(
            outputs.target(options.json, ".json"), json.dumps({"data": options.data, **result}, indent=2) + "\n"
        )
        if not options.quiet and (files := outputs.written_words([options.json])):
            output.say(f"wrote {files}")
    return 0
