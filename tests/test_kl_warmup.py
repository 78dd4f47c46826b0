"""The weight of the KL term over a run."""

import pytest

from npvae import VAE
from npvae.errors import InputError, InputTypeError, UnknownNameError
from npvae.mathematics import kl_warmup
from npvae.training import TrainingSettings


def test_linear_rises_in_a_line():
    assert [kl_warmup.Linear(8).weight(t) for t in (0, 2, 4, 8, 100)] == [0.0, 0.25, 0.5, 1.0, 1.0]
    assert kl_warmup.Linear(0).weight(0) == 1.0  # no warm-up, and no division by it
    assert [kl_warmup.Linear(2).is_over(epoch) for epoch in (1, 2, 3)] == [False, True, True]
    for choice in (3, 2.5, {"name": "cyclic", "period": 3}):
        kl_warmup.get(choice).check_length(3)  # as long as the run
    assert [kl_warmup.Linear(2.5).is_over(epoch) for epoch in (1, 2, 3)] == [False, False, True]


def test_cyclic_rises_in_every_period():
    cyclic = kl_warmup.Cyclic(4, rise=0.5)
    assert [cyclic.weight(t) for t in (0, 1, 2, 3.9, 4, 5, 6)] == [0.0, 0.5, 1.0, 1.0, 0.0, 0.5, 1.0]
    assert kl_warmup.Cyclic(4, rise=0.0).weight(4) == 1.0
    assert [kl_warmup.Cyclic(3, rise=1.0).is_over(epoch) for epoch in (1, 2, 3, 4, 6)] == [
        False,
        False,
        True,
        False,
        True,
    ]
    assert [cyclic.is_over(epoch) for epoch in (1, 2, 3, 4, 5)] == [False, True, True, True, False]


def test_a_number_is_a_linear_warm_up():
    assert kl_warmup.get(3).config() == {"epochs": 3.0}
    assert kl_warmup.get({"name": "cyclic", "period": 2}).config() == {"period": 2, "rise": 0.5}


def test_the_ends_of_the_ranges_are_inside():
    for rise in (0.0, 1.0):
        cyclic = kl_warmup.get({"name": "cyclic", "period": 1, "rise": rise})
        assert (cyclic.period, cyclic.rise) == (1, rise)
    assert kl_warmup.get(0).config() == {"epochs": 0.0}
    with pytest.raises(InputError, match="rise of the cyclic kl_warmup must be"):
        kl_warmup.get({"name": "cyclic", "period": 1, "rise": -0.01})


@pytest.mark.parametrize(
    ("choice", "error", "words"),
    [
        (-1, InputError, "kl_warmup, in epochs, must be finite and at least 0"),
        (True, InputTypeError, "kl_warmup"),
        ("slow", UnknownNameError, "kl_warmup"),
        ({"name": "cyclic"}, InputError, "needs the argument 'period'"),
        ({"name": "cyclic", "period": 0}, InputError, "period of the cyclic kl_warmup, in epochs, must be at least 1"),
        (
            {"name": "cyclic", "period": 1.5},
            InputTypeError,
            "period of the cyclic kl_warmup, in epochs, must be a whole number",
        ),
        ({"name": "cyclic", "period": 1, "rise": 2}, InputError, "rise of the cyclic kl_warmup must be"),
    ],
)
def test_bad_choices_are_refused(choice, error, words):
    with pytest.raises(error, match=words):
        kl_warmup.get(choice)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (4, "kl_warmup is 4 epochs, but the run has 3"),
        ({"name": "cyclic", "period": 5}, "kl_warmup has a period of 5 epochs, but the run has 3"),
    ],
)
def test_one_longer_than_the_run_is_refused_before_the_first_step(choice, words):
    with pytest.raises(InputError, match=words):
        TrainingSettings(seed=0, epochs=3, kl_warmup=choice)


def test_early_stopping_counts_the_epochs_that_it_looks_at():
    """In a cycle's rise the bound says nothing: epochs there are no reason to stop at the first after it."""
    from types import SimpleNamespace

    import numpy as np

    from npvae.backend.base import Ops
    from npvae.training.loop import _watch
    from npvae.training.state import TrainingState

    settings = SimpleNamespace(patience=2, min_delta=0.0, kl_warmup=kl_warmup.Cyclic(10, 0.5))
    state = TrainingState(np.zeros(1), {})
    for epoch in range(1, 31):
        state.epoch = epoch
        state.history.append({"val_elbo": -100.0 if epoch <= 10 else -101.0})
        _watch(Ops(np), settings, state)
        if state.stop_reason is not None:
            break
    assert state.best_epoch == 5 and epoch == 7  # 5 is the first that is looked at, 6 and 7 are no better


def test_the_history_has_the_weight_of_every_epoch():
    import numpy as np

    x = np.random.default_rng(0).uniform(size=(20, 4))
    vae = VAE(hidden=(3,), epochs=4, batch_size=10, beta=2.0, kl_warmup={"name": "cyclic", "period": 2}, random_state=0)
    vae.fit(x)
    # Two steps an epoch, so the last step of an epoch is at half of it.
    assert vae.history_["beta"] == [1.0, 2.0, 1.0, 2.0]
