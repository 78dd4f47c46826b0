"""``npvae sample``: new samples from a trained model."""

from __future__ import annotations

from npvae import plots
from npvae.cli import about_tables, common, numbers, output, outputs, reading
from npvae.data.own_files import SAVE_SUFFIXES
from npvae.errors import InputError
from npvae.support import npz_file


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "sample", help="draw new samples from a model, or from the imputer that 'npvae impute --save' left"
    )
    common.add_model(parser)
    parser.add_argument("-n", "--number", type=numbers.whole(1), default=100, help="how many (default 100)")
    parser.add_argument(
        "--out",
        type=outputs.output_file,
        help=".png (pictures), .npy, .npz or .csv, or - for text on standard output "
        "(default: samples.png for pictures, else samples.csv)",
    )
    parser.add_argument("--label", help="the class, of a model that 'npvae classify' saved (default: drawn)")
    parser.add_argument(
        "--noise", action="store_true", help="draw from p(x|z); by default its mean is given, but of tables a draw"
    )
    parser.add_argument(
        "--given",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="of a table: a value that all rows have; may be given several times",
    )
    reading.add_report(
        parser,
        "of a table: write what was drawn, and what is known of its nearness to the rows trained on, to this file: "
        ".json, else text; or -",
    )
    common.add_seed(parser)
    common.add_backend(parser)
    parser.set_defaults(run=run_command)


def run_command(options) -> int:
    if options.out is not None:
        _refuse(options.out, options.model)
    outputs.refuse(_report(options), [("the model", options.model)])
    path = common.model_path(options.model)
    if npz_file.kind_of(path)[0] == "imputer":
        from npvae.estimators.tables import TableImputer

        return _of_table(options, TableImputer.load(path, **common.where_to_run(options)))
    vae = common.load_model(options, "SemiSupervisedVAE")
    of_features = getattr(getattr(vae, "features_", None), "table_", None)
    table = getattr(vae, "table_", None) if of_features is None else of_features
    if table is not None:
        return _of_class(options, vae, table.schema) if hasattr(vae, "classes_") else _of_table(options, vae)
    if options.given or options.report is not None:
        raise InputError(
            f"--{'given' if options.given else 'report'}: for models of tables; {options.model} is one of arrays"
        )
    shape = plots.image_shape(vae.sample_shape_)
    out = options.out
    if out is None:
        out = "samples.png" if shape is not None else "samples.csv"
        _refuse(out, options.model)
    picture = outputs.suffix_of(out) == ".png"
    if picture and shape is None:
        raise InputError(
            f"--out {out}: samples of shape {vae.sample_shape_} are not pictures; give it a .csv or .npy name"
        )
    how = {"n": options.number, "mean": not options.noise, "random_state": options.seed}
    if hasattr(vae, "classes_"):
        how["label"] = _label(vae.classes_, options.label)
    elif options.label is not None:
        raise InputError("--label needs a model of 'npvae classify': this one knows no classes")
    x = vae.sample(**how)
    if picture and shape is not None:
        plots.save(plots.plot_samples(x.reshape(-1, *shape)), outputs.target(out))
    else:
        outputs.write_array(out, x, getattr(vae, "feature_names_in_", None))
    if files := outputs.written_words([out]):
        output.say(f"wrote {files}: {options.number} samples")
    return 0


def _of_class(options, model, schema) -> int:
    """Rows of a class of a table, by a model that 'npvae classify' saved."""
    if options.given or options.report is not None:
        raise InputError(
            f"--{'given' if options.given else 'report'}: for models of 'npvae train'; of a model with classes say "
            f"--label CLASS"
        )
    out = "samples.csv" if options.out is None else options.out
    outputs.refuse_suffix(outputs.Output("--out", out), SAVE_SUFFIXES)
    outputs.refuse([outputs.Output("--out", out)], [("the model", options.model)])
    about_tables.write(
        out, model.sample(_label(model.classes_, options.label), options.number, random_state=options.seed), schema
    )
    if files := outputs.written_words([out]):
        left_out = f"; left out: {', '.join(schema.carried)}" if schema.carried else ""
        output.say(
            f"wrote {files}: {options.number} rows of "
            f"{'all classes' if options.label is None else f'the class {options.label}'}{left_out}"
        )
    return 0


def _of_table(options, model) -> int:
    """Synthetic rows of a model of a table, or of an imputer."""
    if options.label is not None:
        raise InputError("--label needs a model of 'npvae classify'; of a model of a table say --given COLUMN=VALUE")
    out = "samples.csv" if options.out is None else options.out
    outputs.refuse_suffix(outputs.Output("--out", out), SAVE_SUFFIXES)
    outputs.refuse([outputs.Output("--out", out), *_report(options)], [("the model", options.model)])
    given = about_tables.given(options.given, model.schema_)
    drawn = model.sample(options.number, given=given, random_state=options.seed)
    about_tables.write(out, drawn, model.schema_)
    if options.report is not None:
        about_tables.write_report(options.report, model, options.number, given)
    if files := outputs.written_words([out, *([] if options.report is None else [options.report])]):
        left_out = f"; left out: {', '.join(model.carried_)}" if model.carried_ else ""
        output.say(f"wrote {files}: {options.number} synthetic rows{left_out}")
        if (near := about_tables.nearness_of(model)) is not None:
            output.say(f"nearness of {about_tables.OF_NEARNESS}: {near}")
    return 0


def _report(options) -> list[outputs.Output]:
    return [] if options.report is None else [outputs.Output("--report", options.report)]


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
