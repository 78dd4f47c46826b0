"""``npvae encode``: the posterior means (and log-variances) of data."""

from __future__ import annotations

import numpy as np

from npvae.cli import columns, common, output, outputs
from npvae.data.own_files import SAVE_SUFFIXES


def add_parser(commands) -> None:
    parser = commands.add_parser("encode", help="map data to the latent space")
    common.add_model(parser)
    common.add_data(parser)
    common.add_part(parser)
    parser.add_argument(
        "--out", type=outputs.output_file, default="latent.csv", help=".csv, .npy, .npz, or - (default latent.csv)"
    )
    parser.add_argument("--logvar", action="store_true", help="add the log-variances of q(z|x)")
    columns.add_unseen(parser)
    common.add_backend(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    out = outputs.Output("--out", options.out)
    outputs.refuse_suffix(out, SAVE_SUFFIXES)
    outputs.refuse([out], [("the model", options.model), ("--data", options.data)])
    vae = common.load_model(options, "SemiSupervisedVAE")
    if common.choose_data(options, vae):
        outputs.refuse([out], [("--data", options.data)])
    data = columns.read_for(vae, options)
    with columns.naming_lines(data.table):
        mu, logvar = vae.encode(data.X)
    dimensions = range(mu.shape[1])
    names = [f"mean_{j}" for j in dimensions] + [f"logvar_{j}" for j in dimensions if options.logvar]
    outputs.write_array(options.out, np.hstack([mu, logvar]) if options.logvar else mu, names)
    if files := outputs.written_words([options.out]):
        output.say(f"wrote {files}: {len(mu)} rows, {', '.join(names)}")
    return 0
