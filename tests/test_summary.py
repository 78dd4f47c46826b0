"""The table of a model's layers, of which the sizes are counted by hand."""

import numpy as np

from npvae.backend.base import Ops
from npvae.evaluation.summary import model_summary
from npvae.mathematics.likelihoods.table import Table
from npvae.mathematics.model import Architecture, Model


def test_the_table_of_a_model():
    architecture = Architecture(
        40, 2, (300, 4), decoder_hidden=(6,), likelihood="gaussian_per_feature", linear_path=True
    )
    assert model_summary(Model(architecture, Ops(np))).splitlines() == [
        "layer                       inputs  outputs  activation  parameters",
        "-------------------------------------------------------------------",
        "encoder/0                       40      300        relu      12,300",
        "encoder/1                      300        4        relu       1,204",
        "encoder/mean                     4        2    identity          10",
        "encoder/logvar                   4        2    identity          10",
        "z = mu + exp(logvar/2) eps       2        2                       0",
        "decoder/0                        2        6        relu          18",
        "decoder/mean                     6       40    identity         280",
        "encoder/linear/mean             40        2    identity          80",
        "encoder/linear/logvar           40        2    identity          80",
        "decoder/linear/mean              2       40    identity          80",
        "likelihood/raw_logvar                    40                      40",
        "-------------------------------------------------------------------",
        "14,102 parameters; p(x|z): GaussianPerFeature(floor=1e-06)",
    ]


def test_the_likelihood_of_a_table_is_said_by_names_and_numbers_of_variables():
    columns = [
        ("gaussian_decoder", 2),
        ({"name": "categorical", "sizes": [3, 2]}, 5),
        ({"name": "bounded", "low": -2.5, "high": 2.5, "step": 0.5}, 1),
        ("gaussian_decoder", 1),
        ({"name": "ordinal", "sizes": [3]}, 3),
    ]
    last = model_summary(Model(Architecture(12, 2, (4,), likelihood=Table(columns)), Ops(np))).splitlines()[-1]
    assert last.endswith(
        " parameters; p(x|z): table of columns by gaussian_decoder (3), categorical (2), bounded (1), ordinal (1)"
    )
