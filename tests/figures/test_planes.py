"""Panels of points: one for each set, on the axes of the first, with what lies outside counted."""

import math

import pytest
import torch
from matplotlib.collections import EllipseCollection

from epslab import figures
from epslab.figures.style import TEXT


def test_every_set_has_a_panel_on_the_same_axes_with_its_circles() -> None:
    centres = torch.tensor([[0.0, 2.0], [-2.0, 0.0]])
    far = torch.cat([torch.zeros(1998, 2), torch.tensor([[9.0, 0.0], [math.nan, 0.0]])])
    drawing = figures.planes(
        {"data": centres, "model": far, "other": far[:3]}, circles=(centres, 0.5), alt="Two modes."
    )
    panels = drawing.axes
    assert [panel.get_title(loc="left") for panel in panels] == ["data", "model", "other"]
    assert {panel.get_xlim() for panel in panels} == {panel.get_ylim() for panel in panels} == {(-3.125, 3.125)}
    assert [[text.get_text() for text in panel.texts] for panel in panels] == [[], ["2 outside"], []]
    for panel in panels:
        (circles,) = (each for each in panel.collections if isinstance(each, EllipseCollection))
        assert circles.get_offsets().tolist() == centres.tolist()
    assert "3 panels of points on the same axes: data; model; other" in drawing.alt
    assert drawing.alt.endswith("Two modes.")


def test_classes_have_colours_and_a_key() -> None:
    points = {"VAE": torch.randn(40, 2), "AAE": torch.randn(40, 2)}
    labels = {name: torch.arange(40) % 10 for name in points}
    drawing = figures.planes(points, labels=labels, classes=tuple("0123456789"), axes=("z₁", "z₂"))
    assert [text.get_text() for text in drawing.legends[0].get_texts()] == list("0123456789")
    assert drawing.axes[1].get_xlabel() == "z₁"
    assert len({tuple(each.get_facecolor()[0]) for each in drawing.axes[1].collections}) == 10


@pytest.mark.parametrize("n", [1, 4, 7])
def test_text_is_legible_and_does_not_overlap(n: int) -> None:
    drawing = figures.planes({f"a rather long name {i}": torch.randn(5, 2) for i in range(n)})
    figures.png(drawing)  # lays it out
    titles = [panel.title.get_fontsize() for panel in drawing.axes]
    assert min(titles) >= TEXT
    boxes = [panel._left_title.get_window_extent() for panel in drawing.axes]  # type: ignore[attr-defined]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
