import io
import sys

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from epslab import figures
from epslab.figures.style import CLASSES, COLOURS, TEXT, WIDTH
from epslab.runs import Column

NAN = float("nan")
METRICS = {
    "epoch": [0.0, 1.0, 2.0, 3.0],
    "train/loss": [NAN, 700.0, 400.0, 300.0],
    "val/loss": [2200.0, 720.0, 420.0, 330.0],
    "train/bits_per_dim": [NAN, 1.2, 0.8, 0.6],
    "val/bits_per_dim": [4.0, 1.1, 0.7, 0.65],
    "train/reconstruction": [NAN, 680.0, 380.0, 270.0],
    "val/reconstruction": [2200.0, 700.0, 400.0, 300.0],
    "train/kl": [NAN, 20.0, 22.0, 25.0],
    "val/kl": [0.1, 20.0, 22.0, 26.0],
}
COLUMNS = {
    "bits_per_dim": Column("Bits per dimension", "bits/dim", "lower"),
    "reconstruction": Column("Reconstruction −E log p(x|z)", "nats", "lower"),
    "never logged": Column("Nothing"),
    "kl": Column("KL from posterior to prior", "nats"),
}
x = np.linspace(0.0, 1.0, 5)
ALL = {
    "curves": lambda: figures.curves(METRICS, columns=COLUMNS, best_epoch=2),
    "lines": lambda: figures.lines(x, {"a": x, "b": (x, 0.1 * x)}, x_label="x", y_label="y", title="title"),
    "log lines": lambda: figures.lines(x + 1, {"a": x + 1}, x_label="x", y_label="y", log_x=True, log_y=True),
    "side by side": lambda: figures.side_by_side(["VAE", "real"], {"a": [0.5, 1.0], "b": [2, 3], "c": [-1, 0]}),
    "errors": lambda: figures.errors(x, {"ELBO": -x}, x_label="D"),
    "long names": lambda: figures.errors(
        x,
        {"prior Monte Carlo": x, "ELBO": x, "importance weighting": x, "a rather longer name than most": x},
        x_label="D",
    ),
    "four names": lambda: figures.lines(
        x, {"KL": x, "Jeffreys": x, "Jensen–Shannon": x, "Wasserstein": x}, x_label="x", y_label="y"
    ),
    "names that nearly fill a row": lambda: figures.errors(
        x, {"prior Monte Carlo": x, "ELBO": x, "importance weighting": x}, x_label="D"
    ),
    "rate": lambda: figures.rate_distortion(x, -x, list("abcde"), rate_spread=x, distortion_spread=x),
    "bars": lambda: figures.bars(x, threshold=("active", 0.3), spread=x),
    "scatter": lambda: figures.latent_scatter(torch.rand(9, 2), torch.arange(9) % 3, ["a", "b", "c"]),
    "contours": lambda: figures.contours(torch.rand(9, 2), torch.rand(2, 2), torch.rand(2, 2), names=["a", "b"]),
    "densities": lambda: figures.densities(x, {"near": {"p": x, "q": x[::-1].copy()}, "far": {"p": x, "q": x}}),
    "grid": lambda: figures.image_grid(torch.rand(4, 1, 8, 8), title="title", labels=list("abcd")),
}


def texts(figure):
    return [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip()]


@pytest.mark.parametrize("name", ALL)
def test_text_reads_on_a_phone(name):
    """At 310 CSS pixels wide, no text is smaller than 9 points, which is 12 CSS pixels."""
    figure = ALL[name]()
    figure.draw_without_rendering()
    assert isinstance(figure, Figure)
    assert figure.get_figwidth() == pytest.approx(WIDTH)
    assert min(text.get_fontsize() for text in texts(figure)) / 72 * 310 / WIDTH >= 12
    assert TEXT <= 13


@pytest.mark.parametrize("name", ALL)
def test_no_text_leaves_the_figure(name):
    figure = ALL[name]()
    figure.draw_without_rendering()
    # Ticks outside an axis' limits are texts that are never drawn.
    shown = [
        text for axes in figure.axes for text in (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label)
    ]
    shown += [text for legend in figure.legends for text in legend.get_texts()]
    for text in shown:
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= figure.bbox.width + 1, text
            assert box.y1 <= figure.bbox.height + 1, text


def test_drawing_needs_no_pyplot_and_leaves_matplotlib_as_it_was(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it now fails
    before = mpl.rcParams.copy()
    for draw in ALL.values():
        draw().draw_without_rendering()
    figures.png(figures.bars([1.0, 2.0]))
    assert mpl.rcParams.copy() == before


def test_png_loses_nothing_and_is_the_same_every_time():
    figure = figures.bars(x, threshold=("active", 0.3))
    data = figures.png(figure)
    assert data == figures.png(figures.bars(x, threshold=("active", 0.3)))
    whole = io.BytesIO()
    figure.savefig(whole, dpi=figure.dpi)
    expected = np.asarray(Image.open(whole).convert("RGB"))
    assert (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) == expected).all()
    assert len(data) < len(whole.getvalue())


def test_curves_show_reconstruction_and_kl_in_panels_of_their_own():
    figure = figures.curves(METRICS, columns=COLUMNS, best_epoch=2)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Bits per dimension",
        "Reconstruction −E log p(x|z)",
        "KL from posterior to prior",
    ]
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "bits/dim, log scale", "nats, log scale", "nats",
    ]  # fmt: skip
    kl = figure.axes[2].lines
    assert kl[0].get_ydata().tolist() == METRICS["train/kl"][1:]
    assert kl[1].get_ydata().tolist() == METRICS["val/kl"]
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log", "linear"]
    assert all(axes.lines[2].get_xdata() == [2, 2] for axes in figure.axes)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["training", "validation", "best epoch"]


def test_curves_draw_the_spread_over_seeds_as_a_band():
    figure = figures.curves(METRICS, spread={"val/kl": [0.1, 1.0, 1.0, 2.0]}, quantities=["kl"])
    (band,) = figure.axes[0].collections
    vertices = band.get_paths()[0].vertices
    assert {(3.0, 24.0), (3.0, 28.0)} <= {tuple(vertex) for vertex in vertices.tolist()}


def test_curves_of_unknown_quantities_are_shown_by_name():
    figure = figures.curves({"epoch": [0.0, 1.0], "train/critic_gap": [1.0, 2.0], "val/empty": [NAN, NAN]})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["critic gap"]
    with pytest.raises(ValueError, match="no train"):
        figures.curves({"epoch": [0.0]})


def test_lines_take_values_with_or_without_spread_and_mark_the_reference():
    figure = figures.errors([1, 2], {"pair of numbers": (3.0, 4.0), "spread": ([1.0, 2.0], [0.5, 0.5])}, x_label="D")
    plain, spread, exact = figure.axes[0].lines
    assert plain.get_ydata().tolist() == [3.0, 4.0]
    assert spread.get_ydata().tolist() == [1.0, 2.0]
    assert set(exact.get_ydata()) == {0.0}
    assert exact.get_label() == "exact"
    assert len(figure.axes[0].collections) == 1


def test_bars_at_or_under_the_threshold_are_grey():
    figure = figures.bars([0.5, 0.01, 0.0], threshold=("active", 0.01))
    blue, *grey = [bar.get_facecolor() for bar in figure.axes[0].patches]
    assert blue[:3] == to_rgb(COLOURS[0])
    assert all(max(colour[:3]) - min(colour[:3]) < 0.1 for colour in grey)


def test_a_scatter_names_every_class_that_has_codes():
    figure = figures.latent_scatter(torch.zeros(2, 2), torch.tensor([0, 2]), ["zero", "one", "two"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["zero", "two"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["zero", "two"]
    dots = [to_rgb(handle.get_facecolor()[0][:3]) for handle in legend.legend_handles]
    assert dots == [to_rgb(CLASSES[0]), to_rgb(CLASSES[2])]


def test_a_scatter_of_many_classes_has_no_legend():
    figure = figures.latent_scatter(torch.rand(30, 2), torch.arange(30), list(map(str, range(30))))
    assert not figure.legends


def test_ellipses_have_the_posterior_s_size():
    figure = figures.contours(torch.zeros(3, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.25]]))
    sizes = [(patch.get_width(), patch.get_height()) for patch in figure.axes[0].patches]
    assert sizes == [(1.0, 0.5), (2.0, 1.0)]


def test_input_on_a_graph_is_taken():
    assert figures.bars(torch.ones(3, requires_grad=True)).axes


def luminance(colour):
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


# Viénot, Brettel & Mollon (1999): linear RGB as protanopes and deuteranopes see it.
SEEN = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


@pytest.mark.parametrize("vision", SEEN)
def test_the_first_colours_differ_to_any_eye(vision):
    seen = [SEEN[vision] @ np.array(to_rgb(colour)) ** 2.2 for colour in COLOURS[:4]]
    apart = [np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]]
    assert min(apart) > 0.08
    assert len(set(CLASSES)) == 10


def test_curves_stand_out_from_the_page():
    """WCAG 1.4.11: at least 3:1 against white for what must be seen (the sixth colour is for a sixth curve only)."""
    assert all(1.05 / (luminance(colour) + 0.05) >= 3 for colour in COLOURS[:4])
