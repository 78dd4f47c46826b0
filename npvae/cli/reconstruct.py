"""``npvae reconstruct``: data through the model and back."""

from __future__ import annotations

from npvae import plots
from npvae.cli import common, output
from npvae.errors import InputError


def add_parser(commands) -> None:
    parser = commands.add_parser("reconstruct", help="send data through the model and back")
    common.add_model(parser)
    common.add_data(parser, default="digits")
    common.add_part(parser)
    parser.add_argument(
        "--out", help=".png (the first 40 originals and reconstructions), .npy, .npz, .csv, or - "
        "(default: reconstructions.png for pictures, else reconstructions.csv)",
    )
    parser.add_argument("--sample", action="store_true", help="draw z from q(z|x); by default its mean is used")
    common.add_seed(parser)
    common.add_backend(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    vae = common.load_model(options)
    x, _, column_names, _ = common.read_data(options, options.part)
    shape = plots.image_shape(vae.sample_shape_)
    out = options.out or ("reconstructions.png" if shape is not None else "reconstructions.csv")
    how = {"sample": options.sample, "random_state": options.seed}
    if out.lower().endswith(".png"):
        if shape is None:
            raise InputError(f"samples of shape {vae.sample_shape_} are not pictures; give --out another name")
        plots.save(plots.plot_reconstructions(vae, x[:40], **how), out)
    else:
        made = vae.reconstruct(common.with_names(x, column_names), **how)
        common.write_array(out, made, column_names)
    if out != "-":
        output.say(f"wrote {out}; ELBO of the {len(x)} rows: {vae.elbo(x, random_state=options.seed):.3f} nats a row")
    return 0
