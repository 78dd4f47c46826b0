"""``npvae train``: train a model and leave a folder with the model, its history and its pictures."""

from __future__ import annotations

import time
from pathlib import Path

from npvae.cli import about_tables, choices, columns, common, numbers, output, outputs, presets, resuming
from npvae.cli.train_data import TrainingData
from npvae.data.tables.kinds import KINDS
from npvae.errors import InputError, MissingDependencyError, NonFiniteError, TrainingInterrupted
from npvae.estimators import preparation
from npvae.estimators.vae import VAE
from npvae.evaluation import report
from npvae.evaluation.summary import model_summary
from npvae.fused import coverage
from npvae.support.files import remove_leftovers
from npvae.training.checkpoint import CheckpointFile
from npvae.training.state import INTERRUPTED

DEFAULT_FOLDER = "npvae-run"

#: Every picture that a run can leave, and every file.
PICTURES = ("loss.png", "latent.png", "manifold.png", "reconstructions.png", "samples.png")
PRODUCTS = ("model.npz", "history.csv", "checkpoint.npz", *PICTURES)


def add_parser(commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a model (alone: a 784-256-2 model on the digits that come with npvae)",
        description="Train a variational autoencoder and leave a folder with model.npz, history.csv, "
        "checkpoint.npz and pictures.",
    )
    parser.add_argument(
        "--preset",
        choices=presets.PRESETS,
        help=f"a paper's protocol in the place of the defaults; options given beside it go first. "
        f"{presets.help_text()}",
    )
    common.add_data(parser, default="digits")
    parser.add_argument(
        "--out",
        type=outputs.output_folder,
        help=f"the folder to make (default: {DEFAULT_FOLDER}, or the next free number)",
    )
    resuming.add_options(parser, "the checkpoint in the folder --out")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace a model that is already in the folder, once the new one is trained to its end",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--latent-dim",
        type=numbers.whole(1),
        help="latent dimensions (default 2, of counts 10; of a table by its validation bound)",
    )
    model.add_argument("--hidden", help="widths of the encoder: 256 (default; of a table 128,128), or 500,200, or none")
    model.add_argument("--decoder-hidden", help="widths of the decoder (default: the encoder's in reverse)")
    model.add_argument(
        "--activation", type=choices.activation, help="relu (default), tanh (default of a table), softplus, identity"
    )
    model.add_argument(
        "--likelihood",
        type=choices.likelihood,
        help="auto (default of a table that holds other than numbers from 0 to 1: one for every column), bernoulli "
        "(default), "
        "continuous_bernoulli, squared_error, gaussian[:variance=V], gaussian_one_variance, gaussian_per_feature, "
        "gaussian_decoder, "
        "student_t, bounded[:low=L|none,high=H|none,step=S], poisson, negative_binomial, multinomial, "
        "dirichlet_multinomial, categorical[:sizes=N+N+...], "
        "ordinal[:sizes=N+N+...]",
    )
    model.add_argument(
        "--allow-missing", action="store_true", help="NaN in the data is what is missing: train on the rest"
    )
    model.add_argument(
        "--linear-path", action="store_true", help="linear layers beside the hidden ones (of a table always)"
    )
    model.add_argument(
        "--kind",
        action="append",
        default=[],
        metavar="COLUMN=KIND",
        help=f"of a column of a table: {', '.join(KINDS)} (default: by evidence)",
    )
    model.add_argument("--dtype", type=choices.dtype, default="float32", help="float32 (default) or float64")
    run = parser.add_argument_group("training")
    run.add_argument(
        "--objective",
        type=choices.objective,
        help="elbo[:free_bits=NATS] (default), importance_weighted:samples=K[,estimator=standard|stl|dreg] (default of "
        "a table: samples=5)",
    )
    run.add_argument(
        "--epochs",
        type=numbers.whole(1),
        help="passes over the data (default 50; of a table at most 300, until the validation bound is no better)",
    )
    run.add_argument("--batch-size", type=numbers.whole(1), help="rows a step (default 100; of a table 64 to 512)")
    run.add_argument(
        "--optimizer", type=choices.optimizer, help="rmsprop (default), adam (default of a table), sgd[:momentum=M]"
    )
    run.add_argument(
        "--learning-rate", type=numbers.real(above=0.0), help="default 0.001, of likelihoods of counts 0.003"
    )
    run.add_argument(
        "--schedule",
        type=choices.schedule,
        default="constant",
        help="constant (default), cosine[:final=F], exponential:decay=D, steps:EPOCH=FACTOR,...",
    )
    run.add_argument("--clip-norm", type=numbers.real(above=0.0), help="longest gradient allowed")
    run.add_argument("--beta", type=numbers.real(minimum=0.0), default=1.0, help="weight of the KL term (default 1)")
    run.add_argument(
        "--kl-warmup",
        type=choices.warmup,
        default="0",
        help="epochs over which beta rises to it in a line, or cyclic:period=P[,rise=R]",
    )
    run.add_argument(
        "--validation-fraction",
        type=numbers.real(minimum=0.0, below=1.0),
        help="part of the rows held out (default: none; of a table a tenth)",
    )
    run.add_argument(
        "--patience", type=numbers.whole(1), help="stop after so many epochs without a better validation ELBO"
    )
    run.add_argument(
        "--min-delta", type=numbers.real(minimum=0.0), default=0.0, help="nats that count as better (default 0)"
    )
    run.add_argument("--binarize", type=choices.binarize, default="none", help="none (default), static, dynamic")
    run.add_argument(
        "--initial-weights",
        type=choices.initial_weights,
        default="glorot",
        help="glorot (default), he, or fan_in, which is torch.nn.Linear's",
    )
    run.add_argument(
        "--output-bias",
        type=choices.output_bias,
        default="auto",
        help="data: start where the columns are fitted; zero; auto (default): data for counts, else zero",
    )
    run.add_argument("--divide-by", type=numbers.real(above=0.0), help="scale the data: 255 for 8-bit images")
    common.add_seed(parser)
    common.add_backend(parser)
    parser.add_argument(
        "--threads", type=numbers.threads, help="how many to run on (default: all cores this process may use)"
    )
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--no-plots", action="store_true", help="make no pictures")
    parser.set_defaults(run=run_command, parser=parser)


def run_command(options) -> int:
    options = _resumed(options)
    say = (lambda text: None) if options.quiet else output.say
    if options.preset is not None:
        say(f"preset {options.preset}: {presets.PRESETS[options.preset].describe()}")
    vae, data, run = _prepare(options)
    folder = _folder(options)
    checkpoint = CheckpointFile(folder / "checkpoint.npz", resuming.words_of(options))
    with checkpoint.held():
        _refuse_a_loss(options, folder)
        if options.overwrite and not options.resume and checkpoint.path.is_symlink():
            checkpoint.path.unlink()  # and not what the link leads to
        say(data.describe(options))
        if data.is_table:
            say(about_tables.chosen(run))
        say(model_summary(run.model))
        say(f"steps: {coverage.describe(run.model.ops, run.model, run.settings, run.x)}")
        return _train(options, vae, data, run, checkpoint, say)


def _train(options, vae, data, run, checkpoint, say) -> int:
    """Train, and write what the run leaves: the exit code."""
    folder, goes_on = checkpoint.path.parent, options.resume and checkpoint.path.exists()
    if options.resume and not goes_on:
        say(f"{folder} holds no checkpoint: the run starts anew")
    started = time.perf_counter()
    epochs_run, interrupted = [], False
    try:
        vae.fit_prepared(
            run,
            callbacks=[lambda state: epochs_run.append(state.epoch)],
            checkpoint=checkpoint,
            checkpoint_seconds=options.checkpoint_seconds,
            resume=resuming.mode(options),
        )
    except TrainingInterrupted:
        interrupted = True
    except NonFiniteError:
        if vae.history_.epochs and not (folder / "model.npz").exists():
            _write_model(vae, folder, options)
            say(f"the last good parameters are in {folder / 'model.npz'}")
        raise
    code = 130 if interrupted else 0
    if interrupted and vae.stop_reason_ != INTERRUPTED:
        output.tell("npvae: interrupted as the training ended; the model is whole")
    elif interrupted and not _is_kept(vae, run.settings.epochs, options, folder):
        return code
    if goes_on and not epochs_run and not interrupted:
        say("the run was complete already: nothing was left to train")
    seconds = time.perf_counter() - started
    if options.overwrite:
        for name in (
            "model.npz",
            "history.csv",
            *PICTURES,
        ):  # a link is what is replaced, and not the file that it leads to
            if (folder / name).is_symlink():
                (folder / name).unlink()
    _write_model(vae, folder, options)
    written = ["model.npz", "history.csv", "checkpoint.npz"]
    if options.overwrite:
        for name in PICTURES:  # of the model that was replaced
            (folder / name).unlink(missing_ok=True)
    if not options.no_plots:
        try:
            written += _pictures(vae, data, folder)
        except MissingDependencyError as error:
            say(f"no pictures: {error}")
    say(_result(vae, seconds))
    if vae.nearness_ is not None:
        say(f"{vae.nearness_}\n'npvae sample {folder} --number 1000 --out synthetic.csv' draws synthetic rows")
    if note := report.cross_entropy_note(vae, run.x):
        say(f"note: {note}")
    say(f"wrote {folder}/: {', '.join(written)}")
    return code


def _is_kept(vae, most: int, options, folder: Path) -> bool:
    """Whether the model of a run of so many epochs that Ctrl-C ended before its time is written, which is said: it
    takes no other's place.
    """
    epochs, model = vae.history_.epochs, folder / "model.npz"
    ended = f"npvae: interrupted after {epochs} of {most} epochs"
    goes_on = f"'npvae train --out {folder} --resume' goes on"
    if not epochs:
        output.tell(f"{ended}: there is no model of it yet; {goes_on}")
    elif options.overwrite and model.exists():
        output.tell(f"{ended}: {model} is still what it was before; {goes_on}")
    else:
        output.tell(f"{ended}; the model so far is kept; {goes_on}")
        return True
    return False


def _prepare(options):
    """The estimator, the data and the run; every bad option is found before anything is written."""
    kinds = columns.kinds_said(options)
    data = TrainingData(options, kinds)
    if kinds and not data.is_table:
        raise InputError("--kind: for tables whose columns choose the likelihood; say --likelihood auto")
    divide_by = options.divide_by if options.divide_by is not None else (data.divide_by or 1.0)
    decoder_hidden = (
        None if options.decoder_hidden is None else choices.parse_widths(options.decoder_hidden, "--decoder-hidden")
    )
    vae = VAE(
        latent_dim=options.latent_dim,
        hidden=None if options.hidden is None else choices.parse_widths(options.hidden),
        decoder_hidden=decoder_hidden,
        activation=options.activation,
        missing=options.allow_missing,
        linear_path=options.linear_path or None,
        likelihood=_likelihood(options, data, kinds),
        beta=options.beta,
        kl_warmup=choices.parse_warmup(options.kl_warmup),
        objective=_choice(options.objective),
        optimizer=_choice(options.optimizer),
        learning_rate=options.learning_rate,
        schedule=choices.parse_schedule(options.schedule),
        clip_norm=options.clip_norm,
        batch_size=options.batch_size,
        epochs=options.epochs,
        validation_fraction=options.validation_fraction,
        patience=options.patience,
        min_delta=options.min_delta,
        binarize=options.binarize,
        initial_weights=options.initial_weights,
        output_bias=options.output_bias,
        divide_by=divide_by,
        backend=choices.parse_choice(options.backend),
        threads=options.threads,
        dtype=options.dtype,
        random_state=options.seed,
        verbose=not options.quiet,
    )
    with columns.naming_lines(data.text):
        return vae, data, preparation.prepare(vae, data.for_fit(), data.x_valid)


def _choice(text: str | None):
    """What an option with arguments says; None: it is not said."""
    return None if text is None else choices.parse_choice(text)


def _likelihood(options, data: TrainingData, kinds: dict):
    """The argument of that name."""
    if data.is_table:
        return {"name": "auto", "kinds": kinds} if kinds else "auto"
    return "bernoulli" if options.likelihood is None else choices.parse_choice(options.likelihood)


def _resumed(options):
    """The options, of a run that is resumed those that it was begun with. InputError: see :func:`resuming.resumed`."""
    options.resume |= options.resume_anyway
    if not options.resume:
        return options
    if options.out is None:
        raise InputError("--resume needs --out: the folder of the run to go on with")
    return resuming.resumed(options, Path(options.out) / "checkpoint.npz")


def _folder(options) -> Path:
    """The run's folder, made if need be. InputError: what is in it would be lost. OSError: it cannot be made or
    written to.
    """
    if options.out is None:
        return common.next_free_folder(DEFAULT_FOLDER)
    _refuse_a_loss(options, Path(options.out))
    return common.writable_folder(options.out)


def _refuse_a_loss(options, folder: Path) -> None:
    """InputError: the folder holds a run that the user has not said to go on with or to replace, or the data."""
    if options.resume and (folder / "model.npz").exists() and not (folder / "checkpoint.npz").exists():
        raise InputError(f"{folder} holds a model but no checkpoint.npz to resume from")
    if not (options.resume or options.overwrite):
        for name in ("model.npz", "checkpoint.npz"):
            if (folder / name).exists():
                raise InputError(f"{folder} already holds {name}: choose another --out, or --resume, or --overwrite")
    if folder.is_dir():
        outputs.refuse(
            [outputs.Output("--out", folder / name, model=name.endswith(".npz")) for name in PRODUCTS],
            [("--data", options.data)],
            overwrite=options.overwrite or options.resume,
        )


def _write_model(vae, folder: Path, options) -> None:
    """Write model and history, and remove what killed writers left."""
    common.remember_data(options, vae)
    for name in PRODUCTS:
        remove_leftovers(folder / name)
    vae.save(folder / "model.npz")
    vae.history_.write_csv(folder / "history.csv")


def _pictures(vae, data, folder: Path) -> list[str]:
    """Draw what can be drawn of this model; the names of the files."""
    from npvae import plots

    shown, labels = data.first_rows(10_000)
    pictures = {
        "loss.png": plots.plot_loss(vae.history_),
        "latent.png": plots.plot_latent(vae.transform(shown), labels),
    }
    shape = plots.image_shape(vae.sample_shape_)
    if not data.is_table and shape is not None:
        pictures["reconstructions.png"] = plots.plot_reconstructions(vae, shown[:20])
        if vae.model_.architecture.latent_dim == 2:
            pictures["manifold.png"] = plots.plot_manifold(vae)
        else:
            images = vae.sample(100).reshape(-1, *shape)
            pictures["samples.png"] = plots.plot_samples(images)
    for name, ax in pictures.items():
        plots.save(ax, folder / name)
    return list(pictures)


def _result(vae, seconds: float) -> str:
    row = vae.history_.row(-1)
    label = vae.model_.likelihood.reconstruction_label
    lines = []
    for title, prefix in (("training", ""), ("validation", "val_")):
        if prefix + "loss" in row:
            loss, reconstruction, kl = (row[prefix + name] for name in ("loss", "reconstruction", "kl"))
            lines.append(f"{title:<11} loss {loss:9.3f}  {label} {reconstruction:9.3f}  KL {kl:7.3f}  nats a row")
    active = row.get("val_active_units", row["active_units"])
    lines.append(f"{active} of {vae.model_.architecture.latent_dim} latent dimensions active; {seconds:.1f} s")
    if vae.stop_reason_ not in ("finished", "interrupted"):
        lines.append(f"stopped: {vae.stop_reason_}")
    elif vae.best_epoch_ is not None:
        lines.append(f"kept the parameters of epoch {vae.best_epoch_}, of the best validation ELBO")
    return "\n".join(lines)
