"""``npvae reconstruct``: data through the model and back."""

from __future__ import annotations

import numpy as np

from npvae import plots
from npvae.cli import columns, common, output, outputs
from npvae.data.own_files import SAVE_SUFFIXES
from npvae.errors import InputError
from npvae.evaluation import report


def add_parser(commands) -> None:
    parser = commands.add_parser("reconstruct", help="send data through the model and back")
    common.add_model(parser)
    common.add_data(parser)
    common.add_part(parser)
    parser.add_argument(
        "--out",
        type=outputs.output_file,
        help=".png (the first 40 originals and reconstructions), .npy, .npz, .csv, or - "
        "(default: reconstructions.png for pictures, else reconstructions.csv)",
    )
    parser.add_argument("--sample", action="store_true", help="draw z from q(z|x); by default its mean is used")
    columns.add_unseen(parser)
    common.add_seed(parser)
    common.add_backend(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    read = [("the model", options.model), ("--data", options.data)]
    if options.out is not None:
        _refuse(options.out, read)
    vae = common.load_model(options)
    if common.choose_data(options, vae):
        read[1] = ("--data", options.data)
    data = columns.read_for(vae, options)
    shape = None if getattr(vae, "table_", None) is not None else plots.image_shape(vae.sample_shape_)
    out = options.out
    if out is None:
        out = "reconstructions.png" if shape is not None else "reconstructions.csv"
    _refuse(out, read)
    how = {"sample": options.sample, "random_state": options.seed}
    if outputs.suffix_of(out) == ".png":
        if shape is None:
            raise InputError(
                f"--out {out}: rows of shape {vae.sample_shape_} are not pictures; give it a .csv or .npy name"
            )
        plots.save(plots.plot_reconstructions(vae, np.asarray(data.X)[:40], **how), outputs.target(out))
    else:
        if data.table is not None and outputs.suffix_of(out) != ".csv":
            raise InputError(f"--out {out}: rows of a table are written as text; give it a .csv name")
        with columns.naming_lines(data.table):
            made = vae.reconstruct(data.X, **how)
        if data.table is not None:
            columns.write_like(
                outputs.target(out), [column for column in data.table.columns if column.name in made], made
            )
        else:
            outputs.write_array(out, made, data.names)
    if files := outputs.written_words([out]):
        output.say(
            f"wrote {files}; ELBO of the {data.rows} rows: {vae.elbo(data.X, random_state=options.seed):.3f} nats a row"
        )
        if note := report.cross_entropy_note(vae, vae.model_input(data.X)):
            output.say(f"note: {note}")
    return 0


def _refuse(out: str, read) -> None:
    """Refuse a file that cannot be written, or is read from."""
    one = outputs.Output("--out", out)
    outputs.refuse_suffix(one, (".png", *SAVE_SUFFIXES))
    outputs.refuse([one], read)
