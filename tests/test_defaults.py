"""What an argument is that is not given: a promise of every public function, class and method, written out here."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import textwrap

import pytest

#: By module: a line a function, class or method with the arguments that have a default other than None;
#: what is indented further goes on with the line before.
DEFAULTS = {
    "backend": """
        get: backend='auto'
        for_use: backend='auto'
    """,
    "backend.base": """
        Ops.concat: axis=0
        Ops.memory_guard: argument='batch_size'
    """,
    "support.check": """
        whole_number: minimum=0
        finite_result: infinite=False
    """,
    "cli.numbers": """
        whole: minimum=0, maximum=2147483647
    """,
    "data.catalog": """
        load_dataset: download=True, timeout=30.0
    """,
    "data.dataset": """
        Dataset: divide_by=1.0, description=''
    """,
    "estimators.vae": """
        VAE: missing=False, likelihood='bernoulli', beta=1.0, kl_warmup=0, schedule='constant', min_delta=0.0,
            binarize='none', initial_weights='glorot', output_bias='auto', divide_by=1.0, backend='auto',
            dtype='float32', verbose=False
        VAE.fit: callbacks=(), checkpoint_seconds=10.0, resume=False
    """,
    "estimators.base": """
        Estimator.fit_prepared: callbacks=(), checkpoint_seconds=10.0, resume=False
        Estimator.load: backend='auto'
        Estimator.model_input: draw=0
    """,
    "evaluation.aggregate_posterior": """
        aggregate_posterior: samples=10000
    """,
    "evaluation.elbo": """
        evaluate_elbo: beta=1.0, batch_size=1000, purpose='evaluation noise'
        elbo_rows: draws=1, batch_size=1000, purpose='evaluation noise'
    """,
    "evaluation.log_likelihood": """
        log_likelihood: samples=5000, at_once=1024
    """,
    "evaluation.neighbours": """
        neighbour_accuracy: neighbours=15
    """,
    "support.fields": """
        shown: longest=60
        Whole: minimum=0, maximum=9223372036854775807
        Real: minimum=-inf, above=-inf, maximum=inf, nan=False
        Text: longest=10000, plain=False
        ListOf: shortest=0, longest=10000000
        MapOf: longest=100000
        Anything: deepest=10, most=1000000
    """,
    "estimators.fitted": """
        FittedVAE.reconstruct: sample=False
        FittedVAE.sample: n=1, mean=True
        FittedVAE.impute: draws=0, method='auto', samples=1000, steps=200, warm_up=50, chains=1, proposals=10,
            verbose=False
        FittedVAE.elbo: draws=1
        FittedVAE.score_samples: samples=100
        FittedVAE.log_likelihood: samples=5000, verbose=False
    """,
    "gradcheck.checker": """
        GradientReport: rows=[], rtol=1e-06, notes=()
        check_gradient: rtol=1e-06, seed=0, raise_on_failure=True
        numerical_gradient: rtol=1e-06
    """,
    "imputation.chains": """
        chain_imputation: metropolis=True, steps=200, warm_up=50, chains=1, proposals=1, draws=0
    """,
    "imputation.importance": """
        importance_imputation: samples=1000, draws=0, at_once=1024, purpose='imputation noise'
    """,
    "imputation.methods": """
        impute: method='auto', draws=0, samples=1000, steps=200, warm_up=50, chains=1, proposals=10
    """,
    "imputation.factor_analysis": """
        factors_of: iterations=200, floor=0.01, tolerance=0.0001
        fit_factor_analysis: iterations=100, tolerance=0.001
    """,
    "imputation.normal": """
        fit_normal: ridge=0.001
    """,
    "imputation.start": """
    """,
    "estimators.inputs": """
        as_rows: name='X', divide_by=1.0, model='VAE', missing=False
        rows_of: name='X'
        refuse_non_finite: missing=False, advise=True
    """,
    "mathematics.kl_warmup": """
        Linear: epochs=0.0
        Cyclic: rise=0.5
    """,
    "mathematics.layers.dense": """
        dense: activation='identity', need_dx=True
    """,
    "mathematics.layers.network": """
        DenseLayer: activation='identity'
        network: paths=()
    """,
    "mathematics.likelihoods.base": """
        Likelihood.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.bernoulli": """
        Bernoulli.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.categorical": """
        Categorical.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.continuous_bernoulli": """
        ContinuousBernoulli.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.gaussian_fixed": """
        Gaussian: variance=0.5
        Gaussian.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.gaussian_learned": """
        GaussianDecoder: floor=0.001
    """,
    "mathematics.likelihoods.negative_binomial": """
        NegativeBinomial.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.bounded": """
        Bounded: low=0.0, high=1.0, step=0.01, floor=0.001
        Bounded.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.multinomial": """
        Multinomial.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.dirichlet_multinomial": """
        DirichletMultinomial.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.ordinal": """
        Ordinal.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.poisson": """
        Poisson.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.student_t": """
        StudentT: floor=0.001, smallest=2.0
        StudentT.negative_log_likelihood: gradient=True
    """,
    "mathematics.likelihoods.table": """
        Table.negative_log_likelihood: gradient=True
    """,
    "mathematics.missing": """
        keep: otherwise=0.0
    """,
    "mathematics.model": """
        Architecture: latent_dim=2, hidden=(256,), activation='relu', likelihood=Bernoulli(), missing=False,
            linear_path=False, completed=False
        Model.initial_parameters: dtype='float32', rule='glorot'
        Model.negative_log_likelihood: gradient=True
    """,
    "mathematics.objectives.base": """
        Objective.loss: beta=1.0, gradient=True
    """,
    "mathematics.objectives.elbo": """
        negative_elbo: beta=1.0, gradient=True, free_bits=0.0
        ELBO: free_bits=0.0
        ELBO.loss: beta=1.0, gradient=True
        value_and_gradient: beta=1.0
    """,
    "mathematics.objectives.importance_weighted": """
        importance_weighted_loss: beta=1.0, gradient=True, estimator='standard', at_once=8192
        ImportanceWeighted: samples=5, estimator='standard', at_once=8192
        ImportanceWeighted.loss: beta=1.0, gradient=True
    """,
    "mathematics.objectives.semi_supervised": """
        semi_supervised_loss: beta=1.0, classifier_weight=1.0, gradient=True
        SemiSupervised: classifier_weight=1.0
        SemiSupervised.loss: beta=1.0, gradient=True
    """,
    "mathematics.optimizers": """
        RMSprop: rho=0.9, epsilon=1e-07, epsilon_inside=True, initial_accumulator=0.0
        Adam: beta1=0.9, beta2=0.999, epsilon=1e-08, initial_accumulator=0.0
        SGD: momentum=0.0
    """,
    "plots.latent_manifold": """
        manifold: side=15, dimensions=(0, 1)
        plot_manifold: side=15, dimensions=(0, 1)
    """,
    "plots.reconstructions": """
        plot_reconstructions: columns=10
    """,
    "plots.samples": """
        plot_samples: columns=10
    """,
    "plots.rows": """
        plot_rows: lines=()
    """,
    "plots.classes": """
        plot_classes: columns=10
    """,
    "support.progress": """
        Pace: now=monotonic
        Pace.due: last=False
        Stages: now=monotonic
        Stages.begin: total=0, unit='', after=0, done=0
    """,
    "mathematics.random": """
        words: draw=0
        uniform: dtype=float64, draw=0
        normal: dtype=float64, draw=0
        normal_of_steps: dtype=float64
        normal_of_rows: dtype=float64
        bernoulli: draw=0
        Stream.uniform: dtype=float64
        Stream.normal: dtype=float64
    """,
    "evaluation.report": """
        evaluate_model: samples=5000, verbose=False
    """,
    "mathematics.schedules": """
        Cosine: final=0.0
    """,
    "estimators.semisupervised.estimator": """
        SemiSupervisedVAE: latent_dim=50, hidden=(500,), activation='softplus', ignore=(), missing=(), unseen='error',
            alpha=1.0, standardize=False, beta=1.0, kl_warmup=0, optimizer='adam', learning_rate=0.001,
            schedule='constant', batch_size=100, epochs=100, validation_fraction=0.0, min_delta=0.0, binarize='none',
            initial_weights='glorot', output_bias='auto', divide_by=1.0, backend='auto', dtype='float32', verbose=False
        SemiSupervisedVAE.fit: callbacks=(), checkpoint_seconds=10.0, resume=False
    """,
    "estimators.semisupervised.fitted": """
        FittedSemiSupervisedVAE.sample: n=1
    """,
    "estimators.semisupervised.labels": """
        read_labels: name='y'
    """,
    "estimators.semisupervised.latent_classifier": """
        LatentClassifier: samples=0
        LatentClassifier.fit: callbacks=(), checkpoint_seconds=10.0, resume=False
        LatentClassifier.load: backend='auto'
    """,
    "mathematics.semi_supervised": """
        SemiSupervisedArchitecture: latent_dim=2, hidden=(256,), activation='relu', likelihood=Bernoulli(),
            missing=False, linear_path=False, completed=False, n_classes=2
    """,
    "estimators.semisupervised.softmax_regression": """
        fit_softmax_regression: l2=0.001, iterations=5000, tolerance=1e-07
        SoftmaxRegression: l2=0.001
    """,
    "estimators.sklearn_protocol": """
        SklearnProtocol.get_params: deep=True
    """,
    "data.tables.kinds.base": """
        Column: likelihood='', form='number', words=(), why='', rivals=()
        NumberColumn: likelihood='', form='number', words=(), why='', rivals=()
        LevelsColumn: likelihood='', form='number', words=(), why='', rivals=(), values=()
    """,
    "data.tables.cells": """
        Given: form='number', declared=False
        of_array: also=()
        of_objects: also=()
    """,
    "data.tables.frames": """
        as_cells: name='X', also=()
    """,
    "data.tables.missing": """
        missing_among: also=()
    """,
    "estimators.tables.completed": """
        TableImputation: calibration={}
        TableImputation.interval: level=0.9
        TableImputation.smallest_sets: level=0.9
    """,
    "estimators.tables.imputer": """
        TableImputer: ignore=(), missing=(), unseen='error', continuous_likelihood='gaussian_decoder',
            hidden=(128, 128), members=5, samples=5, learning_rate=0.002, batch_size=64, held_out=0.1, patience=6,
            imputation_samples=2000, backend='auto', verbose=False
        TableImputer.fit: checkpoint_seconds=10.0, resume=False
        TableImputer.impute: draws=0
        TableImputer.load: backend='auto'
        TableImputer.sample: n=1
    """,
    "data.tables.schema": """
        Schema.fit: continuous_likelihood='gaussian_decoder', ignore=()
        Schema.refuse_others: unknown=()
        Schema.encode: unseen='error'
    """,
    "training.checkpoint": """
        Keeper.keep: now=False
        Checkpointer: seconds=10.0
        read_checkpoint: anyway=False
        inspect_checkpoint: with_classes=Architecture
        refuse_difference: free=()
    """,
    "training.loop": """
        train: callbacks=()
    """,
    "training.settings": """
        TrainingSettings: epochs=50, batch_size=100, learning_rate=0.001, optimizer=RMSprop(rho=0.9,
            epsilon=1e-07, epsilon_inside=True, initial_accumulator=0.0), schedule=Constant(), beta=1.0,
            kl_warmup=Linear(epochs=0.0), min_delta=0.0, binarize='none', initial_weights='glorot',
            output_bias='zero', objective=ELBO(free_bits=0.0), noisy_features=False
    """,
    "training.state": """
        TrainingState: epoch=0, step=0, history=History(0 epochs: ), best_elbo=-inf, best_epoch=0,
            interrupted=False
    """,
    "training.steps": """
        Stepper: fused=True
        Epoch: norm_sum=0.0
    """,
}


def defaults(kind) -> str:
    """``name=value, ...`` of the arguments that may be left out, without those that are None then."""
    factories = {f.name: f.default_factory for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else {}
    found = []
    for name, argument in inspect.signature(kind).parameters.items():
        value = argument.default
        if name in factories and factories[name] is not dataclasses.MISSING:
            value = factories[name]()
        value = sorted(value) if isinstance(value, frozenset) else value
        if value is not argument.empty and value is not None:
            found.append(
                f"{name}={value.__name__ if isinstance(value, type) or inspect.isbuiltin(value) else repr(value)}"
            )
    return ", ".join(found)


def public(module):
    """``(name, function or class)`` of all that a module defines for others, methods too."""
    for name, kind in vars(module).items():
        if name.startswith("_") or not callable(kind) or getattr(kind, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(kind) or "__init__" in vars(kind) or dataclasses.is_dataclass(kind):
            yield name, kind
        for method, value in vars(kind).items() if inspect.isclass(kind) else ():
            value = getattr(value, "__func__", value)
            if not method.startswith("_") and inspect.isfunction(value):
                yield f"{name}.{method}", value


@pytest.mark.parametrize("module", DEFAULTS)
def test_defaults(module):
    found = {name: defaults(kind) for name, kind in public(importlib.import_module(f"npvae.{module}"))}
    lines = re.sub(r"\n +", " ", textwrap.dedent(DEFAULTS[module]).strip()).splitlines()
    wanted = dict(line.split(": ", 1) for line in lines)
    assert {name: values for name, values in found.items() if values} == wanted
