"""What objects show of themselves: in a notebook a small table, elsewhere one line; never tensors."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch

from epslab import figures, notebook
from epslab.attacks import FGSM, PGD
from epslab.data import ImageSet, PointSet, toys
from epslab.evaluation import Elbo, RadiusSweep, evaluate_likelihood, evaluate_robustness
from epslab.evaluation.latents import evaluate_latents
from epslab.generative import VAE
from epslab.geometry import Linf
from epslab.nets import PerceptronDecoder, PerceptronEncoder
from epslab.probability.likelihoods import Bernoulli
from epslab.report import StudyResult
from epslab.runs import Measured, Measurement, Run, Table

EVIL = "<script>alert('x' & \"y\")</script>"
PIXELS = torch.randint(0, 256, (40, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
DIGITS = ImageSet(PIXELS, torch.arange(40) % 2, ("even", EVIL), "digits")
NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 2))
BALL = Linf(8 / 255)


def run_at(folder: Path) -> Run:
    run = Run.create(folder, {"recipe": "toy", "data": EVIL, "monitor": "val/loss"})
    (run.folder / "metrics.csv").write_text("epoch,train/loss,val/loss\n0,,4\n1,3,3\n2,2,2\n")
    run.record(
        Measured([Measurement("fid", f"FID {EVIL}", value=3.25)], warnings=["Barely."]), split="test", images=360
    )
    return run


def report(**options: Any) -> Any:
    attacks = {"fgsm": FGSM(BALL), "pgd": PGD(BALL, steps=3)}
    return evaluate_robustness(NET, DIGITS.images, DIGITS.labels, attacks, **options)


def vae() -> VAE:
    return VAE(PerceptronEncoder((1, 8, 8), 2), PerceptronDecoder((1, 8, 8), 2), Bernoulli(), latent_dim=2)


SHOWN: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "attacked": (lambda _: FGSM(BALL)(NET, DIGITS.images, DIGITS.labels), ["images", "40", "successes", " %"]),
    "nothing attacked": (
        lambda _: FGSM(BALL)(NET, DIGITS.images, DIGITS.labels)._replace(success=torch.zeros(0, dtype=torch.bool),
                                                                        distance=torch.zeros(0, dtype=torch.float64)),
        ["images", "0"],
    ),
    "image set": (lambda _: DIGITS, ["digits: 40 images of 1×8×8, 2 classes", "even", "20", "data:image/png;base64,"]),
    "colour image set": (
        lambda _: ImageSet(torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8), torch.zeros(9).long(), ("a",)),
        ["9 images of 3×32×32", "data:image/"],
    ),
    "image set of 1,000 classes": (
        lambda _: ImageSet(PIXELS, torch.arange(40), tuple(f"class {i}" for i in range(1000))),
        ["class 0", "more"],
    ),
    "empty image set": (lambda _: DIGITS[:0], ["0 images"]),
    "point set": (lambda _: PointSet(toys.two_moons(100), name="moons"), ["moons: 100 points in 2 dimensions", "x2"]),
    "table": (lambda _: Table(EVIL, ("a", "b"), [("x", 0.12345)], EVIL), ["0.123"]),
    "long table": (lambda _: Table("t", ("i", EVIL), [(i, EVIL) for i in range(5000)]), ["4,9", "more"]),
    "run": (lambda folder: run_at(folder / "run"), ["toy", "3.25", "FID", "epochs", "2", "Barely."]),
    "run that is none": (lambda folder: Run(folder / "none"), ["none"]),
    "robustness": (
        lambda _: report(sweep=RadiusSweep(radii=(1 / 255, 8 / 255))),
        ["Worst-case accuracy", "L∞ ball of radius 8/255", "fgsm", "pgd", "worst-case"],
    ),
    "likelihood": (lambda _: evaluate_likelihood(vae(), DIGITS, {"elbo": Elbo()}), ["bits/dim", "±", "lower bound"]),
    "latents": (lambda _: evaluate_latents(vae(), DIGITS), ["active latent dimensions"]),
    "study": (
        lambda _: StudyResult("coin", "Fair?", EVIL, (Table("T", ("a",), []),), {EVIL: figures.bars([1.0])}),
        ["Fair?", "T", "figure"],
    ),
}  # fmt: skip


class Balance(HTMLParser):
    """Which tags there are, and which are open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.add(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("name", SHOWN)
def test_a_notebook_shows_a_small_table(name: str, tmp_path: Path) -> None:
    """Under 3,000 characters, well formed, self-contained, every text escaped."""
    make, told = SHOWN[name]
    html = make(tmp_path)._repr_html_()
    assert len(html) < 3000
    assert [part for part in told if part not in html] == []
    parser = Balance()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    assert parser.seen <= {"div", "strong", "table", "tr", "th", "td", "img"}
    assert not re.search(r"https?:|url\(|tensor\(", html)


@pytest.mark.parametrize("name", SHOWN)
def test_a_repr_is_one_short_line_without_tensors(name: str, tmp_path: Path) -> None:
    text = repr(SHOWN[name][0](tmp_path))
    assert len(text) < 400
    assert "tensor(" not in text
    assert "\n" not in text


def test_the_parts_of_a_report_have_short_reprs_too() -> None:
    robust = report(sweep=RadiusSweep(radii=(1 / 255, 8 / 255)))
    likelihood = evaluate_likelihood(vae(), DIGITS, {"elbo": Elbo()})
    for part in (robust.attacks["pgd"], robust.sweep, likelihood.entries["elbo"]):
        assert len(repr(part)) < 400
        assert "tensor(" not in repr(part)
    assert "8/255" in repr(robust.sweep)


def test_a_strip_shows_the_pixels() -> None:
    import base64
    import io

    import numpy as np
    from PIL import Image

    data = notebook.strip_of(PIXELS[:8]).partition("base64,")[2].rstrip('">')
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(data + "=" * (-len(data) % 4)))))
    assert (shown == np.concatenate([*PIXELS[:8, 0].numpy()], axis=1)).all()
    assert notebook.strip_of(torch.zeros(3, 2, 8, 8, dtype=torch.uint8)) == ""


def test_texts_that_grow_when_escaped_stay_short() -> None:
    html = notebook.shown("<" * 1000, [("<" * 1000, "&" * 1000)] * 5, note='"' * 1000)
    assert len(html) < 3000


def test_a_figure_displays_itself() -> None:
    figure = figures.bars([1.0, 2.0])
    assert figure._repr_png_() == figures.png(figure)
