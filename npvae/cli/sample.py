"""``npvae sample``: new samples from a trained model."""

from __future__ import annotations

from npvae import plots
from npvae.cli import common, numbers, output, outputs
from npvae.data.own_files import SAVE_SUFFIXES
from npvae.errors import InputError
from npvae.semisupervised import SemiSupervisedVAE


def add_parser(commands) -> None:
    parser = commands.add_parser("sample", help="draw new samples from a model")
    common.add_model(parser)
    parser.add_argument("-n", "--number", type=numbers.whole(1), default=100, help="how many (default 100)")
    parser.add_argument(
        "--out", type=outputs.output_file, help=".png (pictures), .npy, .npz or .csv, or - for text on standard output "
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
    if options.out is not None:
        _refuse(options.out, options.model)
    vae = common.load_model(options, SemiSupervisedVAE)
    shape = plots.image_shape(vae.sample_shape_)
    out = options.out
    if out is None:
        out = "samples.png" if shape is not None else "samples.csv"
        _refuse(out, options.model)
    picture = outputs.suffix_of(out) == ".png"
    if picture and shape is None:
        raise InputError(f"--out {out}: samples of shape {vae.sample_shape_} are not pictures; give it a .csv or .npy name")
    how = {"n": options.number, "mean": not options.noise, "random_state": options.seed}
    if isinstance(vae, SemiSupervisedVAE):
        how["label"] = _label(vae.classes_, options.label)
    elif options.label is not None:
        raise InputError("--label needs a model of 'npvae classify': this one knows no classes")
    x = vae.sample(**how)
    if picture:
        plots.save(plots.plot_samples(x.reshape(-1, *shape)), outputs.target(out))
    else:
        outputs.write_array(out, x, getattr(vae, "feature_names_in_", None))
    if files := outputs.written_words([out]):
        output.say(f"wrote {files}: {options.number} samples")
    return 0


def _refuse(out: str, model: str) -> None:
    """Refuse a file that cannot be written, or is read from."""
    one = outputs.Output("--out", out)
    outputs.refuse_suffix(one, (".png", *SAVE_SUFFIXES))
    outputs.refuse([one], [("the model", model)])


def _label(classes, text):
    """The class of that name. InputError: there is none."""
    if text is None:
        return None
    for label in classes.tolist():
        if str(label) == text:
            return label
    raise InputError(f"--label {text!r} is not among the classes {', '.join(map(str, classes.tolist()))}")
