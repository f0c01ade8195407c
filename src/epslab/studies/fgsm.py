"""The fast gradient sign method against noise that moves every pixel just as far (Goodfellow et al., 2015)."""

from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure

from epslab import figures, recipes
from epslab.attacks import FGSM, RandomNoise
from epslab.data import ImageSet
from epslab.evaluation import RobustnessReport
from epslab.recipes.checks import pixels
from epslab.report import StudyResult, Table, number
from epslab.runs import radius_text
from epslab.studies.classifiers import NETS
from epslab.studies.context import Context
from epslab.studies.outcomes import Outcomes, measured
from epslab.studies.pictures import Changed, with_intervals
from epslab.studies.trained import images_to_attack, loaded, undefended
from epslab.types import Classifier

QUESTION = "How far does one step along the gradient's sign mislead a classifier, compared with noise of the same size?"

FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Radii, as multiples of the study's own."""
KINDS: dict[str, Any] = {"noise": RandomNoise, "FGSM": FGSM}
"""Both move every pixel by the whole radius; only FGSM knows in which direction."""
SHOWN, KEPT = 4, 64
"""Images in the grid, chosen among the first ``KEPT``: an evaluation in memory keeps their attacked versions."""


@dataclass(frozen=True, eq=False)
class Found:
    """One classifier under FGSM and under noise."""

    net: str  #: of ``NETS``
    epochs: int  #: of training
    cross_entropy: float  #: on the whole test set without an attack, nats
    radius: str  #: as it was given
    classes: int  #: how many there are
    outcomes: Outcomes  #: of the attacks "noise 0.25" … "FGSM 2"
    changed: Changed | None  #: some images that FGSM broke; None if it broke none


def measure(context: Context) -> Found:
    """Train a classifier and attack it with both at every radius."""
    run = undefended(context)
    numbers = recipes.evaluate(run, data_root=context.data_root, seed=context.seed)
    model = loaded(run, context)
    images = images_to_attack(context, context.pick(1000, 10_000))
    attacks = {key(kind, factor): KINDS[kind](context.ball.scaled(factor)) for kind in KINDS for factor in FACTORS}
    report = measured(model, images, attacks, context)
    return Found(
        net=context.classifier_net,
        epochs=recipes.recipe_of(run).epochs,
        cross_entropy=float(numbers["cross_entropy"].value),
        radius=context.radius_text,
        classes=len(images.classes),
        outcomes=Outcomes.of(report),
        changed=_changed(model, images, report),
    )


def tell(found: Found) -> StudyResult:
    """What one step of FGSM leaves, and what noise of the same size leaves."""
    caption = "An image, the change FGSM makes, and the result, with the classifier's answer and its confidence."
    return StudyResult(
        name="fgsm",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Accuracy against the radius, with 95 % intervals: the direction of the change matters, not its"
            " size.": _curves(found),
            **({} if found.changed is None else {caption: found.changed.figure()}),
        },
        tables=(_by_radius(found), _together(found)),
    )


def key(kind: str, factor: float = 1) -> str:
    """The name of an attack at a multiple of the radius."""
    return f"{kind} {factor:g}"


def times(factor: float, radius: str) -> str:
    """A multiple of a radius, in the unit it was given in: "0.225", "0.5/255"."""
    length = factor * pixels(radius, "radius")
    return f"{number(255 * length)}/255" if radius.endswith("/255") else radius_text(length)


def _changed(model: Classifier, images: ImageSet, report: RobustnessReport) -> Changed | None:
    broken = report.attacks[key("FGSM")].broken & report.right
    chosen = broken[:KEPT].nonzero()[:SHOWN, 0].tolist()
    if not chosen:
        return None
    before = images[torch.tensor(chosen)].images
    return Changed.of(model, before, report.adversarial(key("FGSM"), chosen), images.classes)


def _answer(found: Found) -> str:
    outcomes, fgsm, noise = found.outcomes, key("FGSM"), key("noise")
    return (
        f"Without an attack {NETS[found.net]} is right on {outcomes.clean} of {outcomes.images:,} test images. After"
        f" one step of FGSM with L∞ radius {found.radius} it is right on {outcomes.accuracy(fgsm)}; after noise"
        f" that moves every pixel just as far, on {outcomes.accuracy(noise)}. FGSM breaks"
        f" {outcomes.more(fgsm, noise)} more of these images than noise does."
    )


def _curves(found: Found) -> Figure:
    whole = found.radius.endswith("/255")
    radius = (255 if whole else 1) * pixels(found.radius, "radius")
    outcomes = found.outcomes
    curves = {kind: [outcomes.clean, *(outcomes.accuracy(key(kind, factor)) for factor in FACTORS)] for kind in KINDS}
    return figures.accuracy_curves(
        [0.0, *(factor * radius for factor in FACTORS)],
        {kind: with_intervals(shares) for kind, shares in curves.items()},
        x_label=f"L∞ radius, {'1/255 of the pixel range' if whole else 'the pixel range is 1'}",
        chance=1 / found.classes,
        marked=(f"radius {found.radius}", radius),
    )


def _by_radius(found: Found) -> Table:
    outcomes = found.outcomes
    rows = [
        (times(factor, found.radius), *(str(outcomes.accuracy(key(kind, factor))) for kind in KINDS))
        for factor in FACTORS
    ]
    return Table(
        "Accuracy by radius",
        ("L∞ radius", *KINDS),
        [("0", *[str(outcomes.clean)] * len(KINDS)), *rows],
        note="Brackets: 95 % intervals (Clopper–Pearson). Noise: one draw of ± radius for every pixel. The net was"
        f" trained for {found.epochs} epochs; its cross-entropy on the test images is"
        f" {number(found.cross_entropy)} nats.",
    )


def _together(found: Found) -> Table:
    outcomes = found.outcomes
    noise, fgsm = (outcomes.broken[key(kind)] for kind in KINDS)
    parts = {"broken by noise": outcomes.right & noise, "not broken by noise": outcomes.right & ~noise}
    return Table(
        f"The same {outcomes.clean.successes:,} images under both, radius {found.radius}",
        ("", "broken by FGSM", "not broken by FGSM"),
        [(name, int((part & fgsm).sum()), int((part & ~fgsm).sum())) for name, part in parts.items()],
        note="Only images that the classifier gets right without an attack. Of all"
        f" {outcomes.images:,} images FGSM breaks {outcomes.more(key('FGSM'), key('noise'))} more (paired interval,"
        " Bonett & Price, 2012).",
    )
