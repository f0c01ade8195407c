"""What every figure says of itself, and how it stands on a dark page."""

import io

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

from epslab import figures
from epslab.figures.words import course, listed
from epslab.report import Page, Picture, Section, render
from epslab.runs.png import description, png

SHARES = (np.array([0.9, 0.5]), np.array([0.8, 0.4]), np.array([0.95, 0.6]))
IMAGES = torch.rand(4, 1, 8, 8)
DRAWN = {
    "accuracy_bars": (
        lambda: figures.accuracy_bars(["clean", "pgd"], SHARES),
        ["clean: 90.0 % [80.0, 95.0]", "pgd: 50.0 % [40.0, 60.0]"],
    ),
    "accuracy_costs": (
        lambda: figures.accuracy_costs({"pgd": ([1, 10], SHARES)}, x_label="gradients"),
        ["gradients, log scale", "pgd from 90 at 1 to 50 at 10"],
    ),
    "accuracy_curves": (
        lambda: figures.accuracy_curves([0, 8], {"pgd": SHARES}, x_label="L∞ radius", chance=0.1),
        ["L∞ radius", "pgd from 90 at 0 to 50 at 8", "Guessing: 10.0 %"],
    ),
    "bars": (
        lambda: figures.bars([0.5, 0.01], threshold=("active", 0.1)),
        ["KL, nats by latent dimension", "1: 0.5; 2: 0.01", "active, 0.1"],
    ),
    "confusion": (
        lambda: figures.confusion(np.array([[5, 2], [0, 7]]), ["cat", "dog"]),
        ["cat taken for dog: 2"],
    ),
    "contours": (
        lambda: figures.contours(torch.zeros(3, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.25]])),
        ["3 samples", "mean (1, 2), deviations (0.5, 0.25)"],
    ),
    "curves": (
        lambda: figures.curves({"epoch": [0.0, 1.0], "train/loss": [np.nan, 2.0], "val/loss": [9.0, 3.0]}),
        ["training from 2 at 1 to 2 at 1; validation from 9 at 0 to 3 at 1"],
    ),
    "side_by_side": (
        lambda: figures.side_by_side(["VAE", "real data"], {"recall": [0.5, 0.97]}, yardsticks=1),
        ["recall: VAE: 0.5; real data: 0.97"],
    ),
    "overlaid": (
        lambda: figures.overlaid({"one": {"epoch": [0.0, 1.0], "val/loss": [9.0, 8.0]}}, {}, ["loss"]),
        ["one from 9 at 0 to 8 at 1"],
    ),
    "densities": (
        lambda: figures.densities([0.0, 1.0, 2.0], {"near": {"p": np.array([0.0, 2.0, 1.0])}}),
        ["near: p peaks at 1"],
    ),
    "errors": (lambda: figures.errors([1, 2], {"ELBO": [-2.0, -1.0]}, x_label="D"), ["ELBO from −2 at 1 to −1 at 2"]),
    "examples": (lambda: figures.examples(IMAGES, ["cat", "dog", "cow", "elk"]), ["4 images", "cat; dog; cow; elk"]),
    "image_grid": (lambda: figures.image_grid(IMAGES, title="Samples"), ["Samples. 4 images, 2 in a row"]),
    "latent_scatter": (
        lambda: figures.latent_scatter(torch.tensor([[1.0, 2.0]]), torch.tensor([0]), ["cat"]),
        ["cat at (1, 2)"],
    ),
    "lines": (
        lambda: figures.lines([1, 2, 3], {"a": [1.0, 5.0, 2.0]}, x_label="D", y_label="nats", log_y=True),
        ["nats, log scale against D", "a from 1 at 1 to 2 at 3, highest 5 at 2"],
    ),
    "manifold": (lambda: figures.manifold(IMAGES, quantiles=[-0.5, 0.5]), ["2 by 2", "from −0.5 to 0.5"]),
    "mistakes": (lambda: figures.mistakes(IMAGES[:1], ["cat"], ["dog"], [0.9]), ["cat taken for dog, 90 %"]),
    "perturbations": (
        lambda: figures.perturbations(IMAGES[:1], IMAGES[:1] * 0.9, ["cat 98 %"], ["dog 60 %"]),
        ["cat 98 % becomes dog 60 %", "magnified"],
    ),
    "rate_distortion": (lambda: figures.rate_distortion([1.0], [2.0], ["β=1"]), ["β=1: 1 and 2"]),
    "reconstructions": (lambda: figures.reconstructions(IMAGES, IMAGES), ["4 images in pairs"]),
    "reliability": (
        lambda: figures.reliability([0.9], [0.8], [1.0]),
        ["confidence 90: accuracy 80"],
    ),
    "strips": (lambda: figures.strips(IMAGES, columns=2, row_labels=["z1", "z2"]), ["2 rows of 2", "z1; z2"]),
    "planes": (
        lambda: figures.planes({"data": torch.zeros(3, 2)}, alt="All points at 0."),
        ["All points at 0."],
    ),
    "vector_fields": (
        lambda: figures.vector_fields(torch.zeros(3, 2), torch.eye(2), {"home": -2 * torch.eye(2)}),
        ["2 arrows over 3 points", "home: longest arrow 2"],
    ),
    "transfer_matrix": (
        lambda: figures.transfer_matrix(np.array([[0.25]]), ["A"], ["B"]),
        ["A, B: 25 %"],
    ),
}  # fmt: skip


def test_every_kind_of_figure_is_here() -> None:
    assert set(DRAWN) == set(figures.__all__) - {"png", "radius_text", "shown"}


@pytest.mark.parametrize("kind", DRAWN)
def test_a_figure_says_what_is_to_be_seen_in_it(kind: str) -> None:
    """In words and numbers; its file and the page keep them."""
    draw, told = DRAWN[kind]
    figure = draw()
    assert [part for part in told if part not in figure.alt] == []
    data = png(figure)
    assert description(data) == figure.alt
    html = render(Page("p", sections=[Section("s", pictures=[Picture("A caption.", data)])]))
    assert 'alt="A caption."' not in html
    assert f'alt="{figure.alt[:10]}' in html


@pytest.mark.parametrize("kind", DRAWN)
def test_a_figure_reads_on_a_dark_page(kind: str) -> None:
    """It brings its own white ground; its words have a contrast of 4.5 to 1 there (WCAG 1.4.3)."""
    figure = DRAWN[kind][0]()
    picture = Image.open(io.BytesIO(figure._repr_png_()))
    assert "transparency" not in picture.info
    assert picture.mode in ("L", "P", "RGB")
    assert all(
        picture.convert("RGB").getpixel(corner) == (255, 255, 255) for corner in ((0, 0), (picture.width - 1, 0))
    )
    outside = [
        text for axes in figure.axes for text in (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label)
    ]
    outside += [text for legend in figure.legends for text in legend.get_texts()]
    outside += [label for axes in figure.axes for label in axes.get_xticklabels() + axes.get_yticklabels()]
    assert all(contrast(text.get_color()) >= 4.5 for text in outside)


def test_a_page_puts_figures_on_a_light_card_in_dark_mode_too() -> None:
    html = render(Page("p"))
    (card,) = [line for line in html.splitlines() if line.startswith("figure img {")]
    assert "background: #fff;" in card
    dark = html.partition("@media (prefers-color-scheme: dark) {")[2].partition("\n}\n")[0]
    assert "--ground" in dark
    assert "img" not in dark


def test_a_curve_without_values_says_so_and_a_long_list_is_cut() -> None:
    assert course("a", [1.0], [float("nan")]) == "a without a value"
    assert listed(map(str, range(15))).endswith("10; 11; and 3 more")
    assert description(b"\x89PNG\r\n\x1a\nnothing") == ""


def contrast(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 1.05 / (float(np.dot([0.2126, 0.7152, 0.0722], linear)) + 0.05)
