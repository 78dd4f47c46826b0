"""Pictures: by the content of what is drawn, without a window."""

from __future__ import annotations

import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest
from small import grey_rows, small_vae

from npvae import plots
from npvae.errors import InputError

pytest.importorskip("matplotlib")


@pytest.fixture
def vae():
    images = np.tile(grey_rows(30), (1, 12))[:, :64].reshape(30, 8, 8)
    return small_vae().fit(images)


def test_the_manifold_is_the_decoder_at_normal_quantiles_laid_out_as_a_map(vae):
    grid = plots.manifold(vae, side=5)
    assert grid.shape == (5, 5, 8, 8)
    low, high = NormalDist().inv_cdf(0.05), NormalDist().inv_cdf(0.95)
    corners = {(0, 0): (low, high), (0, 4): (high, high), (4, 0): (low, low), (2, 2): (0.0, 0.0)}
    for (row, column), z in corners.items():
        np.testing.assert_allclose(grid[row, column], vae.inverse_transform(np.array([z]))[0], rtol=1e-5, atol=1e-6)


def test_an_image_grid_puts_every_picture_in_its_place():
    images = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    grid = plots.image_grid(images)
    assert grid.shape == (8, 15)
    np.testing.assert_array_equal(grid[4:8, 10:15], images[1, 2])


def test_plots_draw_on_the_axes_given_and_return_them(vae):
    from matplotlib.figure import Figure

    x = np.tile(grey_rows(30), (1, 12))[:, :64].reshape(30, 8, 8)
    for draw in (
        lambda ax: plots.plot_loss(vae.history_, ax),
        lambda ax: plots.plot_latent(vae.transform(x), None, ax),
        lambda ax: plots.plot_manifold(vae, ax, side=3),
        lambda ax: plots.plot_reconstructions(vae, x, ax),
        lambda ax: plots.plot_samples(vae.sample(7), ax),
    ):
        ax = Figure().add_subplot()
        assert draw(ax) is ax and ax.has_data()


def test_reconstructions_pair_originals_with_their_own(vae):
    x = np.tile(grey_rows(30), (1, 12))[:, :64].reshape(30, 8, 8)
    drawn = np.asarray(plots.plot_reconstructions(vae, x[:6], columns=3).images[0].get_array())
    assert drawn.shape == (4 * 8, 3 * 8)
    np.testing.assert_allclose(drawn[16:24, 8:16], x[4])
    np.testing.assert_allclose(drawn[24:32, 8:16], vae.reconstruct(x)[4], rtol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 5])
def test_latent_plots_of_any_size(dimensions):
    mu = np.random.default_rng(0).standard_normal((50, dimensions)) * np.arange(1, dimensions + 1)
    ax = plots.plot_latent(mu, np.arange(50) % 3)
    assert ax.name == ("3d" if dimensions == 3 else "rectilinear")
    if dimensions == 5:  # the two that vary most
        assert ax.get_xlabel().endswith("3") and ax.get_ylabel().endswith("4")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["0", "1", "2"]


def test_rows_that_are_no_pictures_are_refused():
    vae = small_vae().fit(grey_rows())
    with pytest.raises(InputError, match="not pictures"):
        plots.plot_manifold(vae)
    with pytest.raises(InputError, match="two latent dimensions"):
        plots.manifold(small_vae(latent_dim=1).fit(grey_rows()))


def test_saved_files_are_what_their_names_say(tmp_path, vae):
    for name, start in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")):
        plots.save(plots.plot_loss(vae.history_), tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)


def test_no_window_and_no_global_state():
    """Drawing never imports pyplot, so there is nothing to show or to close."""
    program = (
        "import sys, numpy as np; from npvae import plots; plots.plot_latent(np.eye(3)[:, :2]);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
