"""Pictures: by the content of what is drawn, without a window."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import NormalDist
from types import SimpleNamespace

import numpy as np
import processes
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


def drawn_points(ax) -> dict:
    """Colour and marker of every label, as they are on the axes."""
    return {
        c.get_label(): (tuple(c.get_facecolor()[0][:3]), c.get_paths()[0].vertices.tobytes()) for c in ax.collections
    }


@pytest.mark.parametrize("count", [2, 10, 20, 100])
def test_every_label_has_a_look_of_its_own_and_the_legend_shows_it(count):
    rng = np.random.default_rng(0)
    labels = np.arange(3 * count) % count
    ax = plots.plot_latent(rng.standard_normal((3 * count, 2)), labels)
    looks = drawn_points(ax)
    assert list(looks) == [str(i) for i in range(count)] and len(set(looks.values())) == count
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == list(looks)
    shown = [tuple(handle.get_facecolor()[0][:3]) for handle in legend.legend_handles]
    assert shown == [color for color, _ in looks.values()]
    if count <= 10:
        apart = [np.abs(np.subtract(a, b)).sum() for i, a in enumerate(shown) for b in shown[:i]]
        assert min(apart) > 0.35  # of 3: the sum over red, green and blue


@pytest.mark.parametrize(("labels", "bar"), [(np.arange(300) / 7, True), (np.array([f"n{i}" for i in range(300)]), False)])
def test_more_labels_than_a_legend_can_name_are_shades(labels, bar):
    ax = plots.plot_latent(np.random.default_rng(0).standard_normal((300, 2)), labels)
    assert ax.get_legend() is None and (len(ax.figure.axes) == 2) == bar
    assert len(np.unique(np.asarray(ax.collections[0].get_array()))) == 300


def test_the_picture_of_the_readme_shows_ten_colours():
    """As the file has them: a palette reduced to fewer colours once made three pairs of digits one."""
    image = pytest.importorskip("matplotlib.image")
    colors = pytest.importorskip("matplotlib.colors")
    pixels = image.imread(Path(__file__).parent.parent / "docs" / "images" / "latent.png")[:, :, :3]
    legend = pixels[:, int(0.91 * pixels.shape[1]):].reshape(-1, 3)
    for color in plots.COLORS:
        assert (np.abs(legend - colors.to_rgb(color)).max(axis=1) < 0.02).sum() > 20, color


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
    processes.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(("features", "mean", "expected"), [(None, None, True), ("a VAE", None, False), (None, False, False), ("a VAE", True, True)])
def test_classes_are_drawn_as_they_are_asked_for(features, mean, expected):
    """Of M2 the mean is shown, of M1+M2 the features are drawn, unless it is said; a row of so many pictures a class."""
    asked = []

    def sample(label, n, *, mean, random_state):
        asked.append((label, n, mean, random_state))
        return np.full((n, 8, 8), float(label))

    model = SimpleNamespace(features_=features, classes_=np.array([3, 5]), sample_shape_=(8, 8), sample=sample)
    drawn = np.asarray(plots.plot_classes(model, columns=4, mean=mean, random_state=9).images[0].get_array())
    assert asked == [(3, 4, expected, 9), (5, 4, expected, 9)]
    assert drawn.shape == (16, 32) and (drawn[:8] == 3.0).all() and (drawn[8:] == 5.0).all()
