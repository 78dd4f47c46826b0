"""``npvae info``: what is installed, which backend would run, and where data are looked for; or what a file holds."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import numpy as np

from npvae import backend as backends
from npvae._version import __version__
from npvae.backend import blas
from npvae.cli import about_tables, common, kinds, output
from npvae.data import DATASETS
from npvae.data.places import REMEDY, cache_folder
from npvae.data.tables.kinds import KINDS
from npvae.errors import DataFileError, InputError
from npvae.estimators.outliers import OutlierVAE
from npvae.estimators.semisupervised import LatentClassifier
from npvae.estimators.tables import TableImputer, imputer_checkpoint
from npvae.estimators.vae import VAE
from npvae.evaluation.summary import model_summary
from npvae.mathematics.likelihoods import Bernoulli
from npvae.mathematics.semi_supervised import SemiSupervisedArchitecture
from npvae.plots import image_shape
from npvae.support import npy, npz_file
from npvae.support.fields import shown
from npvae.support.npy import BadHeader
from npvae.support.reading import open_file
from npvae.support.zip_members import BadZip, ZipMembers
from npvae.training.checkpoint import inspect_checkpoint

OPTIONAL = {"matplotlib": "pictures", "tqdm": "progress bars", "numba": "compiled CPU kernels", "cupy": "CUDA kernels"}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def add_parser(commands) -> None:
    parser = commands.add_parser("info", help="what is installed, or what is in a file, and which command it is for")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="FILE",
        help="describe this file instead: a model or its folder, an imputer or a checkpoint, which are verified; data; "
        "or a known data set",
    )
    parser.set_defaults(run=run_command, backend="auto")


def run_command(options) -> int:
    output.say(_file_info(options) if options.model else _installation_info())
    return 0


def _file_info(options) -> str:
    """What is in a file of any kind; npvae's own are read as for use, and their last line says that they were
    verified.
    """
    path = common.model_path(options.model)
    if options.model in DATASETS and not path.exists():
        return f"{options.model}: a data set that npvae knows by its name, for 'npvae train --data {options.model}'"
    found, (kind, _) = kinds.kind_of(path), npz_file.kind_of(path)
    if found is not None and not kind:
        return "\n".join(
            [
                f"{options.model}: {found.what}, {path.stat().st_size:,} bytes",
                *_data_info(path, found),
                *_purpose(found),
            ]
        )
    if found is None and path.is_file() and not path.stat().st_size:
        raise InputError(f"{options.model} is empty: there is nothing in it")
    if kind == "checkpoint":
        lines = _checkpoint_info(path)
    elif kind == imputer_checkpoint.KIND:
        members, epochs = imputer_checkpoint.inspect(path)
        lines = [
            f"checkpoint of an imputer: {members} members are trained, and {epochs} epochs of the next; 'npvae impute "
            f"--resume', or "
            "fit(resume=True), goes on from it"
        ]
    elif kind == "imputer":
        lines = _imputer_info(TableImputer.load(path, **common.where_to_run(options)))
    else:
        lines = _model_info(common.load_model(options, "SemiSupervisedVAE", "LatentClassifier", "OutlierVAE"))
    return "\n".join([*lines, *_purpose(found), f"verified    {npz_file.seal_of(path)}"])


def _purpose(found) -> list[str]:
    """A line about the commands that a file is for."""
    if found is None:
        return []
    return [f"for         {found.commands}" if found.commands else "npvae has no use for it"]


def _data_info(path, found) -> list[str]:
    """Lines about a file of data: the arrays in it, or how it begins."""
    if found.what == "text":
        with open_file(path)[0] as file:
            first = file.readline(1 << 12).decode("utf-8", "replace").strip()
        return [f"begins with {shown(first)}"]
    if found.what not in ("an array", "arrays"):
        return []
    file, size = open_file(path)
    with file:
        try:
            if found.what == "an array":
                return [_array_info("", npy.read_header(file.read))]
            members = ZipMembers(file, size)
            names = [name for name in members.members if name.endswith(".npy")][: about_tables.MOST_COLUMNS]
            return [
                _array_info(f"{name.removesuffix('.npy')}: ", npy.read_header(members.open(name).read))
                for name in names
            ]
        except (BadHeader, BadZip) as error:
            raise DataFileError(f"{path} is damaged: {error}") from None


def _array_info(name: str, header) -> str:
    return f"{shown(name)[1:-1]}{header.dtype} of shape {header.shape}"


def _model_info(model) -> list[str]:
    # Of M1 what is trained by epochs, and in M1+M2 too what sees the data, is the VAE of features.
    trained = model.features_ if isinstance(model, LatentClassifier) else model
    sees_data = getattr(model, "features_", None) or model
    standardised = ", standardised" if getattr(model, "center_", None) is not None else ""
    kind = "pictures" if image_shape(model.sample_shape_) else "rows"
    of_data = f"{kind} of shape {model.sample_shape_}, divided by {sees_data.divide_by_:g}{standardised}"
    if getattr(model, "table_", None) is not None:
        of_data = f"rows of a table of {model.n_features_in_} columns"
    lines = [
        repr(model),
        "",
        model_summary(trained.model_),
        "",
        f"data        {of_data}",
        f"run         {trained.history_.epochs} epochs, {trained.stop_reason_}; seed {trained.seed_}",
    ]
    if isinstance(model, VAE) and model.table_ is not None:
        lines += about_tables.info(model)
    if isinstance(model, OutlierVAE):
        lines += about_tables.columns_of(model.schema_)
        lines.append(
            f"outliers    rows with -log p(x) above {-model.offset_:.6g}; contamination {model.contamination:g}"
        )
    elif not isinstance(model, VAE):
        lines.append(f"classes     {', '.join(map(str, model.classes_.tolist()))}")
    if sees_data is not model:
        lines.append(f"features    {len(model.used_dimensions_)} latent dimensions of {sees_data!r}")
    lines += _history_info(trained.history_)
    if isinstance(trained.model_.likelihood, Bernoulli) and trained.binarize_ == "none":
        lines.append("note        of grey values a bernoulli likelihood gives a cross-entropy, not a log-likelihood")
    return lines


def _checkpoint_info(path) -> list[str]:
    state, model, settings = inspect_checkpoint(path, SemiSupervisedArchitecture)
    end = "goes on" if state.stop_reason is None and state.epoch < settings.epochs else state.stop_reason or "finished"
    return [
        f"checkpoint of a run of {settings.epochs} epochs; --resume, or fit(resume=True), goes on from it",
        "",
        model_summary(model),
        "",
        f"run         {state.epoch} epochs, {state.step} steps, {end}; seed {settings.seed}",
        *_history_info(state.history),
    ]


def _imputer_info(imputer) -> list[str]:
    columns = imputer.schema_.columns
    counts = {kind: sum(column.kind == kind for column in columns) for kind in KINDS}
    found, carried = (
        ", ".join(f"{count} {kind}" for kind, count in counts.items() if count),
        list(imputer.carried_.items()),
    )
    errors = ", ".join(f"{member.error:.3f}" for member in imputer.members_)
    return [
        repr(imputer),
        "",
        model_summary(imputer.members_[0].model),
        "",
        f"columns     {len(columns)}: {found}",
        *(f"  {column.name}: {about_tables.of_column(column)}" for column in columns[: about_tables.MOST_COLUMNS]),
        *(
            [f"  ... and {len(columns) - about_tables.MOST_COLUMNS} more"]
            if len(columns) > about_tables.MOST_COLUMNS
            else []
        ),
        *(
            [
                f"carried     {len(carried)}: "
                f"{', '.join(f'{name} ({reason})' for name, reason in carried[: about_tables.MOST_COLUMNS])}"
            ]
            if carried
            else []
        ),
        f"members     {len(imputer.members_)}, errors of hidden cells {errors}; seed {imputer.seed_}"
        + ("; time was up before training ended by itself" if imputer.out_of_time_ else ""),
    ]


def _history_info(history) -> list[str]:
    row = history.row(-1) if history.epochs else {}
    lines = [f"training    {_losses(row, '')}"] if row else []
    return lines + ([f"validation  {_losses(row, 'val_')}"] if "val_loss" in row else [])


def _losses(row: dict, prefix: str) -> str:
    loss, reconstruction, kl = (row[prefix + name] for name in ("loss", "reconstruction", "kl"))
    return f"loss {loss:.3f}, reconstruction {reconstruction:.3f}, KL {kl:.3f}"


def _installation_info() -> str:
    threads = ", ".join(f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ)
    lines = [
        f"npvae       {__version__}",
        f"python      {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores",
        f"numpy       {np.__version__}, BLAS: {blas.name()}" + (f", {threads}" if threads else ""),
        f"backends    auto takes {backends.get('auto').name}",
        *(f"  {name:<12}{_backend(name)}" for name in backends.KNOWN),
        "optional",
    ]
    lines += [f"  {name:<12}{_version(name)} ({use})" for name, use in OPTIONAL.items()]
    cache = cache_folder()
    lines += [
        f"programs    {_no_home() if cache is None else cache / 'kernels'}",
        f"data sets   {', '.join(DATASETS)}",
        f"  NPVAE_DATA  {os.environ.get('NPVAE_DATA', 'not set')}",
        f"  cache       {_no_home() if cache is None else cache}",
    ]
    return "\n".join(lines)


def _no_home() -> str:
    return f"not kept: there is no home folder; {REMEDY}"


def _backend(name: str) -> str:
    reason = backends.reason_against(name)
    return backends.get(name).description() if reason is None else f"cannot run here: {reason}"


def _version(name: str) -> str:
    packages = ("cupy-cuda12x", "cupy-cuda13x", "cupy") if name == "cupy" else (name,)
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            pass
    return "not installed"
