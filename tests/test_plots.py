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
from npvae.plots import canvas

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
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


@pytest.mark.parametrize(
    ("labels", "bar"), [(np.arange(300) / 7, True), (np.array([f"n{i}" for i in range(300)]), False)]
)
def test_more_labels_than_a_legend_can_name_are_shades(labels, bar):
    ax = plots.plot_latent(np.random.default_rng(0).standard_normal((300, 2)), labels)
    assert ax.get_legend() is None and (len(ax.figure.axes) == 2) == bar
    assert len(np.unique(np.asarray(ax.collections[0].get_array()))) == 300


def test_the_picture_of_the_readme_shows_ten_colours():
    """As the file has them: a palette reduced to fewer colours once made three pairs of digits one."""
    image = pytest.importorskip("matplotlib.image")
    colors = pytest.importorskip("matplotlib.colors")
    pixels = image.imread(Path(__file__).parent.parent / "docs" / "images" / "latent.png")[:, :, :3]
    legend = pixels[:, int(0.91 * pixels.shape[1]) :].reshape(-1, 3)
    for color in canvas.COLORS:
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


@pytest.mark.parametrize(
    ("features", "mean", "expected"),
    [(None, None, True), ("a VAE", None, False), (None, False, False), ("a VAE", True, True)],
)
def test_classes_are_drawn_as_they_are_asked_for(features, mean, expected):
    """Of M2 the mean is shown, of M1+M2 the features are drawn, unless it is said; a row of so many pictures a
    class.
    """
    asked = []

    def sample(label, n, *, mean, random_state):
        asked.append((label, n, mean, random_state))
        return np.full((n, 8, 8), float(label))

    model = SimpleNamespace(features_=features, classes_=np.array([3, 5]), sample_shape_=(8, 8), sample=sample)
    drawn = np.asarray(plots.plot_classes(model, columns=4, mean=mean, random_state=9).images[0].get_array())
    assert asked == [(3, 4, expected, 9), (5, 4, expected, 9)]
    assert drawn.shape == (16, 32) and (drawn[:8] == 3.0).all() and (drawn[8:] == 5.0).all()


@pytest.mark.parametrize(
    ("sample_shape", "picture"),
    [
        ((3, 5), (3, 5)),
        ((64,), (8, 8)),
        ((81,), (9, 9)),
        ((784,), (28, 28)),
        ((49,), None),
        ((63,), None),
        ((65,), None),
        ((80,), None),
        ((8, 8, 3), None),
        ((), None),
        ([3, 5], (3, 5)),
    ],
)
def test_what_a_picture_is(sample_shape, picture):
    assert plots.image_shape(sample_shape) == picture


def marks(ax) -> dict:
    """Ticks with their texts, the lines across, and the figure's size: all that is on the axes beside what is drawn."""
    found = {"size": ax.figure.get_size_inches().tolist()}
    for axis in "xy":
        ticks, texts = getattr(ax, f"get_{axis}ticks")(), getattr(ax, f"get_{axis}ticklabels")()
        found[axis] = {float(place): text.get_text() for place, text in zip(ticks, texts, strict=True)}
    found["lines"] = [
        (set(line.get_xdata()), set(line.get_ydata()), line.get_color(), line.get_linewidth()) for line in ax.lines
    ]
    return found


def test_ticks_lines_and_sizes(vae):
    """Pictures are 8 high and 8 wide; a tick is in the middle of a row or column of them, a line between two."""
    x = np.tile(grey_rows(30), (1, 12))[:, :64].reshape(30, 8, 8)
    manifold = marks(plots.plot_manifold(vae, side=5))
    texts = ["-1.6", "-0.6", "0.0", "0.6", "1.6"]
    texts[1], texts[3] = f"{NormalDist().inv_cdf(0.275):.1f}", f"{NormalDist().inv_cdf(0.725):.1f}"
    assert manifold["size"] == [7, 7]
    assert manifold["x"] == dict(zip([3.5, 11.5, 19.5, 27.5, 35.5], texts, strict=True))
    assert manifold["y"] == dict(zip([3.5, 11.5, 19.5, 27.5, 35.5], texts[::-1], strict=True))
    pairs = marks(plots.plot_reconstructions(vae, x[:9], columns=3))
    assert pairs["size"] == pytest.approx([2.1, 4.5]) and pairs["x"] == {}
    assert list(pairs["y"].items()) == [(3.5 + 8 * i, ("original", "reconstruction")[i % 2]) for i in range(6)]
    assert [(y, color, width) for _, y, color, width in pairs["lines"]] == [({15.5}, "C0", 1.5), ({31.5}, "C0", 1.5)]
    rows = marks(plots.plot_rows({"a": x[:4], "b": x[4:8]}, lines=(1,)))
    assert rows["size"] == pytest.approx([4.0, 1.44]) and rows["x"] == {} and rows["y"] == {3.5: "a", 11.5: "b"}
    assert [(y, color, width) for _, y, color, width in rows["lines"]] == [({7.5}, "C0", 1.5)]
    samples = plots.plot_samples(x[:7], columns=3)
    assert marks(samples)["size"] == pytest.approx([2.1, 2.1]) and not samples.axison
    model = SimpleNamespace(
        sample_shape_=(8, 8), classes_=np.array([3, 5]), analogies=lambda X, y: np.stack([X + y, X - y], axis=1)
    )
    drawn = plots.plot_analogies(model, x[:3], 2)
    found = marks(drawn)
    assert (
        found["size"] == pytest.approx([2.5, 2.56])
        and found["x"] == {3.5: "original", 11.5: "3", 19.5: "5"}
        and found["y"] == {}
    )
    assert [(place, color, width) for place, _, color, width in found["lines"]] == [({7.5}, "C0", 1.5)]
    np.testing.assert_array_equal(drawn.images[0].get_array()[16:], np.concatenate([x[2], x[2] + 2, x[2] - 2], axis=1))


@pytest.mark.parametrize(
    ("given", "columns", "rows", "drawn"), [(7, 10, 2, 7), (25, 10, 4, 20), (20, 10, 4, 20), (1, 10, 2, 1)]
)
def test_only_whole_rows_of_reconstructions(vae, given, columns, rows, drawn):
    x = np.tile(grey_rows(30), (1, 12))[:, :64].reshape(30, 8, 8)[:given]
    grid = plots.plot_reconstructions(vae, x, columns=columns).images[0].get_array()
    assert grid.shape == (8 * rows, 8 * min(given, columns)) and drawn <= given


@pytest.mark.parametrize(("count", "shape"), [(7, (3, 3)), (3, (1, 3)), (2, (1, 2)), (6, (2, 3))])
def test_samples_fill_their_grid_row_by_row(count, shape):
    images = np.arange(1.0, count + 1)[:, None, None] * np.ones((count, 2, 2))
    image = plots.plot_samples(images, columns=3).images[0]
    grid = np.asarray(image.get_array())
    assert (
        grid.shape == (2 * shape[0], 2 * shape[1])
        and image.get_cmap().name == "gray_r"
        and image.get_interpolation() == "nearest"
    )
    assert grid[::2, ::2].ravel().tolist() == [*range(1, count + 1), *[0] * (shape[0] * shape[1] - count)]


def test_what_is_missing_is_blue():
    rows = {"a": np.ones((2, 2, 2)), "b": np.full((2, 2, 2), np.nan)}
    image = plots.plot_rows(rows).images[0]
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False] * 4] * 2 + [[True] * 4] * 2
    red, green, blue, _ = image.get_cmap().get_bad()
    assert blue > 0.9 and red < 0.7 < green < blue
    assert (
        image.get_interpolation() == "nearest" and image.axes.yaxis.get_major_ticks()[0].tick1line.get_markersize() == 0
    )


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "-log p(x|z) + KL"),
        ({"bound": [1, 2]}, "minus the importance-weighted bound"),
        ({"error": [1, 2], "bound": [1, 2]}, "labelled, unlabelled and classifier's term"),
    ],
)
@pytest.mark.parametrize("validated", [False, True])
def test_the_loss_by_epoch(more, words, validated):
    history = {"epoch": [1, 2], "loss": [9.0, 8.0], **({"val_loss": [7.0, 6.0]} if validated else {}), **more}
    ax = plots.plot_loss(history)
    found = [(line.get_label(), line.get_color(), *map(list, line.get_data())) for line in ax.lines]
    wanted = [
        ("training (mean over the epoch)", "C0", [1, 2], [9, 8]),
        ("validation (at its end)", "C1", [1, 2], [7, 6]),
    ]
    assert found == wanted[: 1 + validated]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [label for label, *_ in found]
    assert ax.get_ylabel() == f"loss: {words}, nats a row" and ax.get_xlabel() == "epoch"
    assert all(tick == int(tick) for tick in ax.get_xticks()) and ax.figure.get_size_inches().tolist() == [6, 4]
    assert not ax.get_legend().get_frame_on() and ax.xaxis.get_gridlines()[0].get_alpha() == 0.3


@pytest.mark.parametrize(
    ("count", "columns", "large"),
    [(2, 1, True), (20, 1, True), (21, 1, False), (25, 1, False), (26, 2, False), (51, 3, False)],
)
def test_columns_of_the_legend(count, columns, large):
    ax = plots.plot_latent(np.random.default_rng(0).standard_normal((2 * count, 2)), np.arange(2 * count) % count)
    legend = ax.get_legend()
    assert legend._ncols == columns and legend.get_title().get_text() == "label" and not legend.get_frame_on()
    sizes = {text.get_fontsize() for text in legend.get_texts()}
    assert len(sizes) == 1 and (sizes.pop() == 10.0) == large
    assert ax.figure.get_size_inches().tolist() == pytest.approx([6.0 + 0.6 * columns, 5.5])
    assert {handle.get_alpha() for handle in legend.legend_handles} == {1.0}
    # Beside the axes, its middle at theirs, and marks twice as large as the points.
    place = legend.get_bbox_to_anchor().transformed(ax.transAxes.inverted())
    assert (place.x0, place.y0, place.width, place.height) == pytest.approx((1.02, 0.5, 0.0, 0.0)) and legend._loc == 6
    assert (legend.markerscale, legend.columnspacing, legend.handletextpad) == (2, 1.0, 0.2)
    assert ax.figure.get_layout_engine() is not None


@pytest.mark.parametrize("rows", [1000, 1001])
@pytest.mark.parametrize("labels", [None, 2, 101])
def test_points(rows, labels):
    mu = np.random.default_rng(0).standard_normal((rows, 2))
    ax = plots.plot_latent(mu, None if labels is None else np.arange(rows) % labels)
    assert {c.get_sizes()[0] for c in ax.collections} == {16 if rows == 1000 else 9}
    assert {c.get_alpha() for c in ax.collections} == {0.6 if labels is None else 0.8}
    assert {c.get_linewidths()[0] for c in ax.collections} == {0}
    assert (ax.get_legend() is not None) == (labels == 2) and sum(len(c.get_offsets()) for c in ax.collections) == rows
    assert ax.xaxis.get_gridlines()[0].get_alpha() == 0.3
    assert ax.figure.get_size_inches().tolist() == pytest.approx([6.0 if labels is None else 6.6, 5.5])
    if labels == 101:
        assert ax.collections[0].get_cmap().name == "viridis" and ax.figure.axes[1].get_ylabel() == "label"
    if labels == 2:
        np.testing.assert_array_equal(ax.collections[1].get_offsets(), mu[1::2])


@pytest.mark.parametrize(
    ("width", "dimensions", "drawn"),
    [
        (1, None, [0]),
        (2, None, [0, 1]),
        (3, None, [0, 1, 2]),
        (4, None, [1, 3]),
        (4, (2, 0), [2, 0]),
        (4, (3, 1, 0), [3, 1, 0]),
    ],
)
def test_dimensions_of_a_latent_plot(width, dimensions, drawn):
    mu = np.random.default_rng(0).standard_normal((30, width)) * np.array([1.0, 9.0, 1.5, 5.0])[:width]
    ax = plots.plot_latent(mu, dimensions=dimensions)
    assert [getattr(ax, f"get_{axis}label")() for axis, _ in zip("xyz", drawn, strict=False)] == [
        f"mean of latent dimension {i}" for i in drawn
    ]
    offsets = ax.collections[0]._offsets3d if len(drawn) == 3 else ax.collections[0].get_offsets().T
    wanted = [*mu[:, drawn].T, *([np.zeros(30)] if width == 1 else [])]
    np.testing.assert_array_equal(np.asarray(offsets), wanted)


def test_the_manifold_s_dimensions_can_be_chosen_and_others_are_zero():
    images = np.tile(grey_rows(30), (1, 12))[:, :64].reshape(30, 8, 8)
    vae = small_vae(latent_dim=3).fit(images)
    grid, low = plots.manifold(vae, side=3, dimensions=(2, 0)), NormalDist().inv_cdf(0.05)
    np.testing.assert_allclose(grid[0, 0], vae.inverse_transform(np.array([[-low, 0.0, low]]))[0], rtol=1e-5, atol=1e-6)
    ax = plots.plot_manifold(vae, side=3, dimensions=(2, 0))
    assert ax.get_xlabel() == "latent dimension 2" and ax.get_ylabel() == "latent dimension 0"


def test_pictures_need_not_be_squares():
    """3 high and 5 wide: what is across counts widths, what is down counts heights."""
    x = np.random.default_rng(0).random((4, 3, 5))
    vae = SimpleNamespace(
        sample_shape_=(3, 5),
        model_=SimpleNamespace(architecture=SimpleNamespace(latent_dim=2)),
        reconstruct=lambda X: 1 - X,
        inverse_transform=lambda z: z.sum(axis=1)[:, None, None] * np.ones((3, 5)),
        classes_=np.array([3, 5]),
        analogies=lambda X, y: np.stack([X, 1 - X], axis=1),
    )
    manifold = plots.plot_manifold(vae, side=5)
    found = marks(manifold)
    assert list(found["x"]) == [2, 7, 12, 17, 22] and list(found["y"]) == [1, 4, 7, 10, 13]
    assert manifold.images[0].get_array().shape == (15, 25)
    pairs = plots.plot_reconstructions(vae, x, columns=2)
    found = marks(pairs)
    assert list(found["y"]) == [1, 4, 7, 10] and [y for _, y, _, _ in found["lines"]] == [{5.5}]
    np.testing.assert_array_equal(pairs.images[0].get_array()[6:9, 5:], x[3])
    np.testing.assert_array_equal(pairs.images[0].get_array()[9:], np.hstack([1 - x[2], 1 - x[3]]))
    drawn = plots.plot_analogies(vae, x, 3)
    tick = drawn.xaxis.get_major_ticks()[0]
    assert tick.label2.get_visible() and not tick.label1.get_visible() and tick.tick1line.get_markersize() == 0
    analogies = marks(drawn)
    assert list(analogies["x"]) == [2, 7, 12] and [x for x, *_ in analogies["lines"]] == [{4.5}]
    rows = marks(plots.plot_rows({"a": x, "b": x}, lines=(1,)))
    assert list(rows["y"]) == [1, 4] and [y for _, y, _, _ in rows["lines"]] == [{2.5}]
    assert plots.plot_samples(x, columns=2).images[0].get_array().shape == (6, 10)
    for ax in (manifold, pairs, drawn):
        assert ax.images[0].get_cmap().name == "gray_r" and ax.images[0].get_interpolation() == "nearest"


def test_a_picture_has_120_dots_an_inch_and_is_a_png_without_another_suffix(tmp_path):
    ax = plots.plot_loss({"epoch": [1, 2], "loss": [9.0, 8.0]})  # 6 inches by 4
    plots.save(ax, tmp_path / "picture")
    data = (tmp_path / "picture").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)] == [
        720,
        480,
    ]


def test_lists_are_drawn_like_arrays():
    mu, labels = np.random.default_rng(0).standard_normal((6, 2)), [1, 0, 1, 1, 0, 0]
    ax = plots.plot_latent(mu.tolist(), labels)
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), mu[np.array(labels) == 0])
    many = list(range(200))
    shades = plots.plot_latent(np.zeros((200, 2)).tolist(), many).collections[0].get_array()
    assert list(shades) == many
    words = plots.plot_latent(np.zeros((200, 2)), [f"{i:03}" for i in range(199, -1, -1)]).collections[0].get_array()
    assert list(words) == many[::-1]
    x = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    vae = SimpleNamespace(sample_shape_=(2, 2), reconstruct=lambda X: X / 2)
    pairs = plots.plot_reconstructions(vae, x.tolist(), columns=3).images[0].get_array()
    np.testing.assert_array_equal(pairs, np.vstack([np.hstack(list(x)), np.hstack(list(x / 2))]))
    np.testing.assert_array_equal(plots.plot_samples(x.tolist()).images[0].get_array(), np.hstack(list(x)))
    np.testing.assert_array_equal(plots.plot_rows({"a": x.tolist(), "b": x / 2}).images[0].get_array(), pairs)
