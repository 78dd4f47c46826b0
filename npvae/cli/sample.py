"""``npvae sample``: new samples from a trained model."""

from __future__ import annotations

from npvae import plots
from npvae.cli import common, output
from npvae.errors import InputError
from npvae.semisupervised import SemiSupervisedVAE


def add_parser(commands) -> None:
    parser = commands.add_parser("sample", help="draw new samples from a model")
    common.add_model(parser)
    parser.add_argument("-n", "--number", type=int, default=100, help="how many (default 100)")
    parser.add_argument(
        "--out", help=".png (pictures), .npy, .npz or .csv, or - for text on standard output "
        "(default: samples.png for pictures, else samples.csv)",
    )
    parser.add_argument("--label", help="the class, of a model that 'npvae classify' saved (default: drawn)")
    parser.add_argument(
        "--noise", action="store_true", help="draw from p(x|z); by default its mean is given"
    )
    common.add_seed(parser)
    common.add_backend(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    vae = common.load_model(options, SemiSupervisedVAE)
    shape = plots.image_shape(vae.sample_shape_)
    out = options.out or ("samples.png" if shape is not None else "samples.csv")
    if out.lower().endswith(".png") and shape is None:
        raise InputError(f"samples of shape {vae.sample_shape_} are not pictures; give --out a .csv or .npy name")
    how = {"n": options.number, "mean": not options.noise, "random_state": options.seed}
    if isinstance(vae, SemiSupervisedVAE):
        how["label"] = _label(vae.classes_, options.label)
    elif options.label is not None:
        raise InputError("--label needs a model of 'npvae classify': this one knows no classes")
    x = vae.sample(**how)
    if out.lower().endswith(".png"):
        plots.save(plots.plot_samples(x.reshape(-1, *shape)), out)
    else:
        common.write_array(out, x, getattr(vae, "feature_names_in_", None))
    if out != "-":
        output.say(f"wrote {out}: {options.number} samples")
    return 0


def _label(classes, text):
    """The class of that name. InputError: there is none."""
    if text is None:
        return None
    for label in classes.tolist():
        if str(label) == text:
            return label
    raise InputError(f"--label {text!r} is not among the classes {', '.join(map(str, classes.tolist()))}")
