"""``npvae info``: what is installed, which backend would run, and where data are looked for; or what a file holds."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import numpy as np

from npvae import backend as backends
from npvae import io
from npvae._version import __version__
from npvae.cli import common, output
from npvae.data import DATASETS
from npvae.data.places import REMEDY, cache_folder
from npvae.estimator import VAE
from npvae.likelihoods import Bernoulli
from npvae.plots import image_shape
from npvae.semisupervised import LatentClassifier, SemiSupervisedVAE
from npvae.semisupervised.model import SemiSupervisedArchitecture
from npvae.summary import model_summary
from npvae.tables import TableImputer, imputer_checkpoint
from npvae.tables.columns import KINDS
from npvae.training.checkpoint import inspect_checkpoint

OPTIONAL = {
    "matplotlib": "pictures",
    "tqdm": "progress bars",
    "numba": "compiled CPU kernels",
    "cupy": "CUDA kernels",
}
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def add_parser(commands) -> None:
    parser = commands.add_parser("info", help="what is installed, or what is in a file, verified")
    parser.add_argument("model", nargs="?", help="verify and describe this file instead: a model, its folder, an imputer or a checkpoint")
    parser.set_defaults(run=run_command, backend="auto")


def run_command(options) -> int:
    output.say(_file_info(options) if options.model else _installation_info())
    return 0


def _file_info(options) -> str:
    """What is in a file of any kind, read as for use; its last line says that it was verified."""
    path = common.model_path(options.model)
    kind, _ = io.kind_of(path)
    if kind == "checkpoint":
        lines = _checkpoint_info(path)
    elif kind == imputer_checkpoint.KIND:
        members, epochs = imputer_checkpoint.inspect(path)
        lines = [f"checkpoint of an imputer: {members} members are trained, and {epochs} epochs of the next"]
    elif kind == "imputer":
        lines = _imputer_info(TableImputer.load(path, **common.where_to_run(options)))
    else:
        lines = _model_info(common.load_model(options, SemiSupervisedVAE, LatentClassifier))
    return "\n".join([*lines, f"verified    {io.seal_of(path)}"])


def _model_info(model) -> list[str]:
    # Of M1 what is trained by epochs, and in M1+M2 too what sees the data, is the VAE of features.
    trained = model.features_ if isinstance(model, LatentClassifier) else model
    sees_data = getattr(model, "features_", None) or model
    standardised = ", standardised" if getattr(model, "center_", None) is not None else ""
    kind = "pictures" if image_shape(model.sample_shape_) else "rows"
    lines = [
        repr(model), "", model_summary(trained.model_), "",
        f"data        {kind} of shape {model.sample_shape_}, divided by {sees_data.divide_by_:g}{standardised}",
        f"run         {trained.history_.epochs} epochs, {trained.stop_reason_}; seed {trained.seed_}",
    ]
    if not isinstance(model, VAE):
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
        f"checkpoint of a run of {settings.epochs} epochs; --resume, or fit(resume=True), goes on from it", "", model_summary(model), "",
        f"run         {state.epoch} epochs, {state.step} steps, {end}; seed {settings.seed}", *_history_info(state.history),
    ]


def _imputer_info(imputer) -> list[str]:
    columns = imputer.schema_.columns
    counts = {kind: sum(column.kind == kind for column in columns) for kind in KINDS}
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    errors = ", ".join(f"{member.error:.3f}" for member in imputer.members_)
    return [
        repr(imputer), "", model_summary(imputer.members_[0].model), "",
        f"columns     {len(columns)}: {kinds}", f"members     {len(imputer.members_)}, errors of hidden cells {errors}; seed {imputer.seed_}",
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
        f"numpy       {np.__version__}, BLAS: {_blas()}" + (f", {threads}" if threads else ""),
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


def _blas() -> str:
    try:
        blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{blas['name']} {blas['version']}"
    except (KeyError, TypeError):
        return "unknown"
