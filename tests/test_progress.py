"""Progress without a terminal: the first epochs and the last, and in between a number of lines that hardly grows with the work."""

from __future__ import annotations

import pytest
from small import grey_rows

from npvae import VAE
from npvae.progress import FIRST_LINES, Pace


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.mark.parametrize(("epochs", "seconds", "least", "most"), [
    (1000, 0.001, 4, 5), (1000, 0.1, 18, 25), (100, 1.0, 15, 25), (10, 30.0, 8, 10), (3, 1e-6, 3, 3), (86400, 1.0, 40, 60),
    (200, 3600.0, 20, 60), (10**6, 2.6, 40, 70),
])
def test_lines_by_time(epochs, seconds, least, most):
    clock = Clock()
    pace, said = Pace(clock), []
    for epoch in range(1, epochs + 1):
        clock.seconds += seconds
        if pace.due(epoch == epochs):
            said.append(epoch)
    assert said[:FIRST_LINES] == [1, 2, 3][:epochs] and said[-1] == epochs
    assert least <= len(said) <= most, len(said)


def epochs_said(err: str) -> list[int]:
    return [int(line.split()[1].split("/")[0]) for line in err.splitlines() if line.startswith("epoch ")]


def test_many_epochs_write_few_lines_and_the_last(capsys, monkeypatch):
    clock = Clock()
    monkeypatch.setattr("npvae.progress.Pace.__init__.__defaults__", (clock,))

    def later(state):
        clock.seconds += 0.05

    how = {"latent_dim": 2, "hidden": (4,), "backend": "numpy", "random_state": 0, "verbose": True}
    VAE(epochs=300, **how).fit(grey_rows(), callbacks=[later])
    said = epochs_said(capsys.readouterr().err)
    assert said[:3] == [1, 2, 3] and said[-1] == 300 and len(said) < 20


def test_an_epoch_that_turns_out_to_be_the_last_is_said(capsys):
    class Enough(Exception):
        pass

    def stop(state):
        if state.epoch == 40:
            raise Enough

    how = {"latent_dim": 2, "hidden": (4,), "backend": "numpy", "random_state": 0, "verbose": True}
    with pytest.raises(Enough):
        VAE(epochs=300, **how).fit(grey_rows(), callbacks=[stop])
    said = epochs_said(capsys.readouterr().err)
    assert said[-1] == 40 and said[:3] == [1, 2, 3]
