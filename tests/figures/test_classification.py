"""Pictures of a classifier: readable on a phone, and true to their numbers."""

import matplotlib as mpl
import numpy as np
import pytest
import torch

from epslab import figures
from epslab.figures.style import TEXT, WIDTH

NAN = float("nan")
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = np.full((10, 10), 3) + 90 * np.eye(10, dtype=int)
ALL = {
    "reliability": lambda: figures.reliability([0.3, NAN, 0.9], [0.5, NAN, 0.8], [0.2, 0.0, 0.8]),
    "confusion": lambda: figures.confusion(COUNTS, NAMES),
    "confusion without mistakes": lambda: figures.confusion(torch.eye(3, dtype=torch.int64), ["0", "1", "2"]),
    "confusion of many": lambda: figures.confusion(np.ones((30, 30), dtype=int), [f"class {i}" for i in range(30)]),
    "mistakes": lambda: figures.mistakes(torch.rand(7, 1, 8, 8), list("0123456"), list("1234567"), [0.999] * 7),
    "long mistakes": lambda: figures.mistakes(
        torch.rand(3, 3, 8, 8), ["automobile", "cat", "dog"], ["airplane", "dog", "automobile"], [1.0, 0.9, 0.5]
    ),
}


def texts(figure):
    return [text for text in figure.findobj(mpl.text.Text) if text.get_text().strip()]


@pytest.mark.parametrize("name", ALL)
def test_text_reads_on_a_phone_and_stays_inside(name):
    figure = ALL[name]()
    assert figure.get_figwidth() == pytest.approx(WIDTH)
    figure.draw_without_rendering()
    for text in texts(figure):
        assert text.get_fontsize() >= TEXT
        box = text.get_window_extent()
        assert box.x0 >= -1, text
        assert box.y0 >= -1, text
        assert box.x1 <= figure.bbox.width + 1, text
        assert box.y1 <= figure.bbox.height + 1, text
    assert figures.png(figure).startswith(b"\x89PNG")


def test_reliability_leaves_empty_bins_out():
    above, below = ALL["reliability"]().axes[:2]
    (curve,) = [line for line in above.lines if line.get_label() == "classifier"]
    np.testing.assert_allclose(curve.get_xydata(), [[30, 50], [90, 80]])
    assert [bar.get_height() for bar in below.patches] == pytest.approx([20, 0, 80])


def test_confusion_shows_mistakes_only():
    axes = ALL["confusion"]().axes[0]
    shown = axes.images[0].get_array()
    assert np.diag(shown).sum() == 0
    assert shown[0, 1] == pytest.approx(3 / 120)
    assert len(axes.texts) == 90


def test_mistakes_are_labelled_with_class_answer_and_confidence():
    written = {text.get_text() for text in texts(ALL["mistakes"]())}
    assert "0→1 99 %" in written
    assert any(text.startswith("auto") and text.endswith("100 %") for text in map(str.strip, {
        text.get_text() for text in texts(ALL["long mistakes"]())
    }))  # fmt: skip
