"""The fast gradient sign method against noise that moves every pixel just as far (Goodfellow et al., 2015)."""

from typing import Any

import torch
from matplotlib.figure import Figure

from epslab import figures, recipes
from epslab.attacks import FGSM, RandomNoise
from epslab.evaluation import RobustnessReport
from epslab.report import StudyResult, Table
from epslab.studies.classifiers import NETS, images_to_attack, loaded, measured, undefended
from epslab.studies.context import Context
from epslab.studies.paired import difference
from epslab.studies.pictures import before_and_after, with_intervals

QUESTION = "How far does one step along the gradient's sign mislead a classifier, beside noise of the same size?"

FACTORS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
"""Radii, as multiples of the study's own."""
KINDS: dict[str, Any] = {"noise": RandomNoise, "FGSM": FGSM}
"""Both move every pixel by the whole radius; only one knows where to."""
SHOWN, KEPT = 4, 64
"""Images in the grid, of so many."""


def run(context: Context) -> StudyResult:
    """Train a classifier, attack it with both at every radius, and show what was changed."""
    trained = undefended(context)
    found = recipes.evaluate(trained, data_root=context.data_root, seed=context.seed)
    model = loaded(trained, context)
    images = images_to_attack(context, context.pick(1000, 10_000))
    attacks = {f"{kind} {factor:g}": KINDS[kind](context.ball.scaled(factor)) for kind in KINDS for factor in FACTORS}
    report = measured(model, images, attacks, context)
    noise, fgsm = (report.robust_accuracy[f"{kind} 1"] for kind in KINDS)
    broken = {kind: report.attacks[f"{kind} 1"].broken & report.right for kind in KINDS}
    gap = difference(broken["FGSM"], broken["noise"])
    # Of the first images only: those are the ones whose attacked versions an evaluation in memory keeps.
    chosen = broken["FGSM"][:KEPT].nonzero()[:SHOWN, 0].tolist()
    radius = context.radius_text
    return StudyResult(
        name="fgsm",
        question=QUESTION,
        answer=(
            f"One step of FGSM with L∞ radius {radius} takes {NETS[context.classifier_net]} from"
            f" {report.clean_accuracy} of {len(images):,} test images to {fgsm}, while noise that moves every pixel "
            f"just as far leaves {noise}. On the same images FGSM breaks {gap} more."
        ),
        figures={
            "Accuracy against the radius, with 95 % intervals: the direction of the change does it, not its"
            " size.": _curves(report, context, len(images.classes)),
            **(
                {
                    "An image, the change FGSM makes to it, and the result, with what the classifier says of it and how"
                    " sure it is.": before_and_after(
                        model,
                        images[torch.tensor(chosen)].images,
                        report.adversarial("FGSM 1", chosen),
                        images.classes,
                    )
                }
                if chosen
                else {}
            ),
        },
        tables=(
            Table(
                "Accuracy by radius",
                ("L∞ radius", *KINDS),
                [
                    ("0", *([str(report.clean_accuracy)] * len(KINDS))),
                    *(
                        (
                            radius_at(factor, context),
                            *(str(report.robust_accuracy[f"{kind} {factor:g}"]) for kind in KINDS),
                        )
                        for factor in FACTORS
                    ),
                ],
                note=(
                    "Brackets: 95 % intervals (Clopper–Pearson). Noise: one draw of ± radius for every pixel."
                    f" {recipes.recipe_of(trained).epochs} epochs of training; cross-entropy of the unattacked test"
                    f" images {found['cross_entropy'].value:.3f} nats."
                ),
            ),
            Table(
                f"The same {int(report.right.sum()):,} images under both, radius {radius}",
                ("", "broken by FGSM", "not broken by FGSM"),
                [
                    (
                        label,
                        *(
                            int((report.right & (broken["noise"] == by_noise) & (broken["FGSM"] == by_fgsm)).sum())
                            for by_fgsm in (True, False)
                        ),
                    )
                    for label, by_noise in (("broken by noise", True), ("not broken by noise", False))
                ],
                note=(
                    f"Images the classifier gets right without either. FGSM breaks {gap} more of all"
                    f" {len(images):,} images (paired, Bonett & Price, 2012)."
                ),
            ),
        ),
        runs=(trained.folder,),
    )


def radius_at(factor: float, context: Context) -> str:
    """So many times the radius, in the unit it was given in."""
    radius = factor * float(context.ball.radius)
    return f"{255 * radius:.3g}/255" if context.radius_text.endswith("/255") else f"{radius:.4g}"


def _curves(report: RobustnessReport, context: Context, classes: int) -> Figure:
    whole = context.radius_text.endswith("/255")
    scale, unit = (255, "1/255 of the pixel range") if whole else (1, "the pixel range is 1")
    radius = scale * float(context.ball.radius)
    curves = {
        kind: [report.clean_accuracy, *(report.robust_accuracy[f"{kind} {factor:g}"] for factor in FACTORS)]
        for kind in KINDS
    }
    return figures.accuracy_curves(
        [0.0, *(factor * radius for factor in FACTORS)],
        {kind: with_intervals(shares) for kind, shares in curves.items()},
        x_label=f"L∞ radius, {unit}",
        chance=1 / classes,
        marked=(context.radius_text, radius),
    )
