import io

import numpy as np
import pytest
import torch
from PIL import Image

from epslab import figures
from epslab.figures.style import DPI, TEXT, WIDTH


def rendered(figure):
    return np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("RGB"))


def is_shown(pixels, axes, canvas):
    """Whether the rendered panel is the canvas with each of its pixels a square of one colour, all equally large."""
    x0, x1 = (round(x * pixels.shape[1]) for x in (axes.get_position().x0, axes.get_position().x1))
    y0, y1 = (pixels.shape[0] - round(y * pixels.shape[0]) for y in (axes.get_position().y1, axes.get_position().y0))
    factor = (x1 - x0) // canvas.shape[1]
    expected = np.kron(canvas, np.ones((factor, factor, 1), dtype=np.uint8))
    return factor >= 1 and np.array_equal(pixels[y0:y1, x0:x1], expected)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [5, 8, 28])
def test_every_image_pixel_is_a_whole_square_of_screen_pixels(channels, side):
    levels = np.random.default_rng(side).integers(0, 256, (12, channels, side, side), dtype=np.uint8)
    figure = figures.image_grid(levels.astype(np.float32) / 255, columns=6, title="samples")
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    line = max(1, round(side / 16))
    for i in range(12):
        top, left = (i // 6) * (side + line), (i % 6) * (side + line)
        expected = np.broadcast_to(levels[i], (3, side, side)).transpose(1, 2, 0)
        assert np.array_equal(canvas[top : top + side, left : left + side], expected)
    assert is_shown(rendered(figure), figure.axes[0], canvas)


def test_every_panel_of_a_tall_picture_is_shown_exactly():
    images = torch.rand(24, 1, 7, 7)
    figure = figures.image_grid(images, columns=9, labels=list(map(str, range(24))))
    assert len(figure.axes) == 3
    pixels = rendered(figure)
    for axes in figure.axes:
        assert is_shown(pixels, axes, np.asarray(axes.images[0].get_array()))


def test_pictures_fill_a_chart_s_width_and_write_as_large():
    for side in (4, 8, 28, 32, 64):
        figure = figures.image_grid(torch.rand(20, 1, side, side), columns=10, title="samples")
        assert figure.get_figwidth() == pytest.approx(WIDTH)
        assert figure.axes[0].title.get_fontsize() >= TEXT
        assert 0.6 * DPI < figure.dpi < 1.6 * DPI


def test_a_grid_has_a_row_for_every_so_many_columns_and_leaves_the_rest_white():
    pixels = rendered(figures.image_grid(torch.zeros(5, 1, 8, 8), columns=4))
    dark = pixels[:, :, 0] < 128
    assert dark[: len(dark) // 2].mean() > 0.7
    assert 0.1 < dark[len(dark) // 2 :].mean() < 0.25


def test_values_beyond_the_range_are_black_or_white_and_nan_is_black():
    figure = figures.image_grid(torch.tensor([-3.0, 7.0, float("nan"), 0.5]).reshape(4, 1, 1, 1), columns=4)
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    assert [int(value) for value in canvas[0, ::2, 0]] == [0, 255, 0, 128]


def test_reconstructions_stand_under_their_originals():
    light, dark = torch.ones(8, 1, 8, 8), torch.zeros(8, 1, 8, 8)
    figure = figures.reconstructions(light, dark, columns=4)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        canvas = np.asarray(axes.images[0].get_array())[:, 0, 0]
        assert canvas[:8].min() == 255
        assert canvas[-8:].max() == 0


def test_a_manifold_has_no_seams_and_stands_as_the_scatter_does():
    """z₁, along the rows of the grid, grows to the right; z₂, from row to row, grows upwards."""
    images = torch.arange(9).float().div(8).reshape(9, 1, 1, 1).expand(9, 1, 4, 4)
    figure = figures.manifold(images, quantiles=[-1.0, 0.0, 1.0])
    canvas = np.asarray(figure.axes[0].images[0].get_array())
    assert canvas.shape == (12, 12, 3)
    expected = np.kron((np.arange(9).reshape(3, 3)[::-1] / 8 * 255).round(), np.ones((4, 4)))
    assert (canvas[:, :, 0] == expected).all()
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["−1.0", "0.0", "1.0"]
    figure.draw_without_rendering()
    heights = {text.get_text(): text.get_window_extent().y0 for text in axes.get_yticklabels()}
    assert heights["−1.0"] < heights["0.0"] < heights["1.0"]
    scatter = figures.latent_scatter(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), ["a"]).axes[0]
    assert not scatter.xaxis_inverted()
    assert not scatter.yaxis_inverted()
    with pytest.raises(ValueError, match="square grid, but 8 images"):
        figures.manifold(images[:8])


def test_strips_name_their_rows():
    figure = figures.strips(torch.rand(6, 3, 8, 8), columns=3, row_labels=["z1", "z2"], ends="from −3 to 3")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["z1", "z2"]
    assert axes.get_xlabel() == "from −3 to 3"


@pytest.mark.parametrize("shape", [(4, 2, 8, 8), (0, 1, 8, 8)])
def test_what_cannot_be_shown_is_refused(shape):
    with pytest.raises(ValueError, match=r"\[n 1 h w\] or \[n 3 h w\]"):
        figures.image_grid(torch.zeros(shape))
