import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.container import BarContainer

from epslab import figures
from epslab.figures.style import WIDTH

RADII = np.array([0.0, 2.0, 4.0])
VALUES = (np.array([0.9, 0.5, 0.1]), np.array([0.8, 0.4, 0.0]), np.array([0.95, 0.6, 0.2]))
ORIGINALS = torch.full((2, 1, 4, 4), 0.5)
ADVERSARIAL = ORIGINALS + 0.1 * torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
LONG = "automobile-with-a-roof-box 99 %"


def grid(colour=1):
    before, after = ORIGINALS.repeat(1, colour, 1, 1), ADVERSARIAL.repeat(1, colour, 1, 1)
    return figures.perturbations(before, after, [LONG, "3 98 %"], ["8 70 %", LONG])


ALL = {
    "grid": grid,
    "curves": lambda: figures.accuracy_curves(
        RADII,
        {"pgd": VALUES, "an attack of a longer name": VALUES},
        x_label="Linf radius, 1/255 of the pixel range",
        chance=0.1,
        marked=("8/255", 3.0),
    ),
    "bars": lambda: figures.accuracy_bars(["clean", "iterative-fgsm", "pgd"], VALUES, first=1),
    "examples": lambda: figures.examples(ORIGINALS, [LONG, "cat 2/255"], title="Least robust"),
    "matrix": lambda: figures.transfer_matrix(np.eye(3), ["A", "B", "small-cnn"], ["A", "B", "small-cnn"], title="t"),
    "wide matrix": lambda: figures.transfer_matrix(
        np.eye(3), ["the first half", "the second", "x"], ["resnet18 on A", "resnet18 on B", "small-cnn on A"]
    ),
}


def texts(figure):
    figure.draw_without_rendering()
    return [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip() and text.get_visible()]


@pytest.mark.parametrize("name", ALL)
def test_text_reads_on_a_phone_and_stays_on_the_figure(name):
    figure = ALL[name]()
    assert figure.get_figwidth() == pytest.approx(WIDTH)
    inside = figure.bbox
    for text in texts(figure):
        assert text.get_fontsize() / 72 * 310 / WIDTH >= 12
        box = text.get_window_extent()
        if text in {label for axes in figure.axes for label in axes.get_xticklabels() + axes.get_yticklabels()}:
            continue  # ticks beyond an axis' limits are never drawn
        assert inside.x0 - 2 <= box.x0, text.get_text()
        assert box.x1 <= inside.x1 + 2, text.get_text()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_change_is_magnified_by_the_written_whole_number(channels):
    """Changes of ±0.1 are shown ×5: black and white, with grey for none."""
    figure = grid(channels)
    assert "change ×5" in [text.get_text() for text in texts(figure)]
    canvases = [axes.get_images()[0].get_array() for axes in figure.axes]
    middles = [canvas[2, 7].tolist() for canvas in canvases]  # 4 pixels, a line, then the change
    assert middles == [[255] * 3, [0] * 3]
    assert [canvas[2, 12].tolist() for canvas in canvases] == [[153] * 3, [102] * 3]


def test_no_change_is_grey_and_said():
    figure = figures.perturbations(ORIGINALS, ORIGINALS, ["a", "a"], ["a", "a"])
    assert "no change" in [text.get_text() for text in texts(figure)]
    assert figure.axes[0].get_images()[0].get_array()[2, 7].tolist() == [128] * 3


def test_a_long_answer_loses_letters_but_not_its_confidence():
    shown = [text.get_text() for text in texts(grid())]
    assert [text for text in shown if text.startswith("auto") and text.endswith("… 99 %")]
    assert LONG not in shown


def test_curves_have_their_bands_in_percent():
    figure = ALL["curves"]()
    axes = figure.axes[0]
    assert axes.lines[0].get_ydata().tolist() == pytest.approx((100 * VALUES[0]).tolist())
    outline = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (outline.min(), outline.max()) == pytest.approx((0.0, 95.0))
    assert {line.get_marker() for line in axes.lines[:2]} == {"o", "s"}
    assert {"guessing", "8/255"} <= {line.get_label() for line in axes.lines}


def test_bars_say_their_number_and_interval():
    figure = ALL["bars"]()
    shown = [text.get_text() for text in texts(figure)]
    assert "clean: 90.0 % [80.0, 95.0]" in shown
    widths = [bar.get_width() for bar in figure.axes[0].containers if isinstance(bar, BarContainer) for bar in bar][:3]
    assert widths == pytest.approx([90, 50, 10])


def test_an_interval_of_no_width_is_drawn():
    ones = np.ones(1)
    assert figures.accuracy_bars(["clean"], (ones, ones + 1e-12, ones)).axes


def luminance(colour):
    r, g, b = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_every_cell_of_a_matrix_reads_at_any_shade():
    shares = np.arange(100).reshape(10, 10) / 100
    figure = figures.transfer_matrix(shares, list("abcdefghij"), list("abcdefghij"))
    image = figure.axes[0].get_images()[0]
    for text in figure.axes[0].texts:
        column, row = (round(part) for part in text.get_position())
        ground, ink = (
            luminance(colour)
            for colour in (image.to_rgba(np.array([[100 * shares[row, column]]]))[0, 0, :3], text.get_color())
        )
        high, low = max(ground, ink), min(ground, ink)
        assert (high + 0.05) / (low + 0.05) >= 4.5, shares[row, column]


def test_a_cell_without_a_number_is_empty():
    figure = figures.transfer_matrix(np.array([[np.nan, 0.5]]), ["a"], ["b", "c"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["50 %"]


@pytest.mark.parametrize(
    ("radius", "text"),
    [(8 / 255, "8/255"), (0.5 / 255, "0.5/255"), (0.0, "0"), (0.3, "0.3"), (1.0, "1"), (0.01, "0.01")],
)
def test_a_radius_is_said_in_255ths_where_it_is_some(radius, text):
    assert figures.radius_text(radius) == text
