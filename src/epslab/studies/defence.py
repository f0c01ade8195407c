"""Two defences by adversarial training, each with and without augmentation, from scratch and from given weights."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.figure import Figure
from torch import Tensor

from epslab import figures
from epslab.attacks import FGSM, PGD
from epslab.classifiers import Proportion
from epslab.evaluation import RobustnessReport
from epslab.report import StudyResult, Table
from epslab.studies.classifiers import images_to_attack, loaded, measured, undefended
from epslab.studies.context import Context
from epslab.studies.defended import DEFENCES, STEPS, train_defended
from epslab.studies.paired import Difference, mean_difference
from epslab.studies.same_defence import table_of_gradients

QUESTION = "What does adversarial training buy, what does it cost, and are its two forms the same?"

ATTACKS = ("FGSM", "PGD-10")


class Cell(NamedTuple):
    """One classifier of the factorial."""

    defence: str
    augmented: bool
    given: bool


CELLS = tuple(Cell(*cell) for cell in product(DEFENCES, (False, True), (False, True)))
ROWS = (
    Cell("none", False, False), Cell("none", True, True), Cell("FGSM loss", True, True), Cell("PGD batch", True, True)
)  # fmt: skip
"""The rows of the course's experiment, the least robust first."""
PUBLISHED = dict(zip(ROWS, ("58 / 10–18 / 4", "73 / 34 / 15", "71 / 46–54 / 36", "69 / 54 / 42–44"), strict=True))
"""Clean, FGSM and PGD-10 accuracies in percent of public runs of the course's ResNet-18 on CIFAR-10, radius ≈ 2/255."""


def run(context: Context) -> StudyResult:
    """Train the factorial, attack every classifier, and compare the gradients of the two defences."""
    runs = {cell: train_defended(context, cell.defence, augmented=cell.augmented, given=cell.given) for cell in CELLS}
    images = images_to_attack(context, context.pick(1000, 10_000))
    attacks = {"FGSM": FGSM(context.ball), "PGD-10": PGD(context.ball, steps=10)}
    found = {cell: measured(loaded(trained, context), images, attacks, context) for cell, trained in runs.items()}
    quoted = context.data == "cifar10"
    plain = {defence: found[Cell(defence, False, False)] for defence in DEFENCES}
    gradients, agreement = table_of_gradients(loaded(undefended(context), context), images, context)
    effects = _effects(found)
    published = order([found[cell].robust_accuracy["PGD-10"] for cell in ROWS]) if quoted else ""
    return StudyResult(
        name="defence",
        question=QUESTION,
        answer=(
            f"Trained from scratch, PGD-10 with L∞ radius {context.radius_text} leaves"
            f" {_accuracy(plain['none'], 'PGD-10')} without a defence,"
            f" {_accuracy(plain['FGSM loss'], 'PGD-10')} with the FGSM loss and"
            f" {_accuracy(plain['PGD batch'], 'PGD-10')} with the PGD batch, at clean accuracies of"
            f" {', '.join(f'{100 * report.clean_accuracy:.1f} %' for report in plain.values())}"
            f"{published}."
            f" {agreement}"
        ),
        figures={
            "Accuracy on the images as they are: what a defence costs.": _matrix(found, "clean"),
            "Accuracy under PGD-10: what it buys (intervals are in the table).": _matrix(found, "PGD-10"),
        },
        tables=(
            Table(
                f"Accuracy on {len(images):,} test images, L∞ radius {context.radius_text}",
                ("defence", "augmentation", "weights", "clean", *ATTACKS, *(["published"] if quoted else [])),
                [
                    (
                        cell.defence,
                        "yes" if cell.augmented else "no",
                        "given" if cell.given else "scratch",
                        str(report.clean_accuracy),
                        *(str(report.robust_accuracy[name]) for name in ATTACKS),
                        *([PUBLISHED.get(cell, "")] if quoted else []),
                    )
                    for cell, report in found.items()
                ],
                note=_note(context, quoted=quoted),
            ),
            Table(
                "What each factor does, the others averaged over",
                ("change", "clean", *ATTACKS),
                [(name, *map(str, differences)) for name, differences in effects.items()],
                note=(
                    "Mean over the pairs of classifiers that differ in this factor alone, with 95 % intervals over the"
                    " same test images; the spread of training seeds is not in them."
                ),
            ),
            gradients,
        ),
        runs=tuple(trained.folder for trained in runs.values()),
    )


def effect(found: dict[Cell, RobustnessReport], pairs: list[tuple[Cell, Cell]]) -> tuple[Difference, ...]:
    """How much more is right, clean and under each attack, with the first of each pair than with the second."""
    rows = []
    for name in ("clean", *ATTACKS):
        gained = [_right(found[a], name).double() - _right(found[b], name).double() for a, b in pairs]
        rows.append(mean_difference(torch.stack(gained).mean(0)))
    return tuple(rows)


def _effects(found: dict[Cell, RobustnessReport]) -> dict[str, tuple[Difference, ...]]:
    defended = {
        f"{defence} instead of none": [
            (cell, cell._replace(defence="none")) for cell in CELLS if cell.defence == defence
        ]
        for defence in DEFENCES
        if defence != "none"
    }
    return {
        name: effect(found, pairs)
        for name, pairs in {
            **defended,
            "augmentation": [(cell, cell._replace(augmented=False)) for cell in CELLS if cell.augmented],
            "given weights instead of scratch": [(cell, cell._replace(given=False)) for cell in CELLS if cell.given],
        }.items()
    }


def _right(report: RobustnessReport, name: str) -> Bool[Tensor, " n"]:
    return report.right if name == "clean" else ~report.attacks[name].broken


def _accuracy(report: RobustnessReport, name: str) -> Proportion:
    return report.robust_accuracy[name]


def order(shares: Sequence[Proportion]) -> str:
    """Whether these accuracies under PGD, of the rows of the course's experiment, come in its order."""
    apart = all(low.interval()[1] < high.interval()[0] for low, high in pairwise(shares))
    rising = all(low < high for low, high in pairwise(shares))
    verdict = (
        "reproduces, with intervals apart"
        if apart
        else "reproduces, but intervals overlap"
        if rising
        else "does not reproduce"
    )
    return f"; the published order of the four rows {verdict}"


def _matrix(found: dict[Cell, RobustnessReport], name: str) -> Figure:
    """Defences in rows, the other factors in columns."""
    ways = {"scratch": (False, False), "given": (False, True), "augm.": (True, False), "augm., given": (True, True)}
    return figures.transfer_matrix(
        np.array(
            [
                [_right(found[Cell(defence, *way)], name).double().mean().item() for way in ways.values()]
                for defence in DEFENCES
            ]
        ),
        list(DEFENCES),
        list(ways),
        row_label="defence",
        column_label="images and weights trained on",
    )


def _note(context: Context, *, quoted: bool) -> str:
    given = f"'{context.weights}'" if context.weights else "the undefended classifier in the first row"
    return (
        "Brackets: 95 % intervals (Clopper–Pearson). FGSM loss: ½·J(x) + ½·J(x_FGSM); PGD batch: clean images and those"
        f" of PGD-{STEPS} in one batch. Given weights: of {given}. PGD-10 starts at random."
        + (
            " Published: clean / FGSM / PGD-10 in percent, public runs of the course's ResNet-18 at ≈ 2/255, given"
            " weights from ImageNet; the order of these rows is what compares."
            if quoted
            else ""
        )
    )
