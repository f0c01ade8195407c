"""Two defences by adversarial training, each with and without augmentation, from scratch and from given weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from matplotlib.figure import Figure
from torch import Tensor

from epslab import figures
from epslab.attacks import FGSM, PGD
from epslab.classifiers import Proportion
from epslab.evaluation.paired import Difference, mean_difference
from epslab.report import StudyResult, Table, number
from epslab.studies.context import Context
from epslab.studies.outcomes import Outcomes, outcomes
from epslab.studies.same_defence import EQUAL, Gap, Sameness, gaps
from epslab.studies.trained import DEFENCES, STEPS, images_to_attack, loaded, train_defended, undefended

QUESTION = "What does adversarial training buy, what does it cost, and are its two forms the same?"

ATTACKS = ("FGSM", "PGD-10")


class Trained(NamedTuple):
    """How one classifier of the factorial design was trained."""

    defence: str
    augmented: bool
    given: bool  #: from given weights

    @property
    def name(self) -> str:
        """For example "PGD batch, augmented, given"."""
        return ", ".join([self.defence, *["augmented"] * self.augmented, *["given"] * self.given])


FACTORIAL = tuple(Trained(*ways) for ways in product(DEFENCES, (False, True), (False, True)))
ROWS = (
    Trained("none", False, False),
    Trained("none", True, True),
    Trained("FGSM loss", True, True),
    Trained("PGD batch", True, True),
)
"""The rows of the course's experiment, the least robust first."""
PUBLISHED = dict(zip(ROWS, ("58 / 10–18 / 4", "73 / 34 / 15", "71 / 46–54 / 36", "69 / 54 / 42–44"), strict=True))
"""Clean, FGSM and PGD-10 accuracies in percent of public runs of the course's ResNet-18 on CIFAR-10, radius ≈ 2/255."""


@dataclass(frozen=True, eq=False)
class Found:
    """The factorial design under attack."""

    radius: str  #: as it was given
    weights: str | None  #: where given weights came from; None: the undefended classifier
    comparable: bool  #: whether the published numbers are for this data set
    outcomes: Mapping[str, Outcomes]  #: by ``Trained.name``
    sameness: Sameness  #: how far the gradients of the two defences are apart


def measure(context: Context) -> Found:
    """Train the factorial design, attack every classifier, and compare the gradients of the two defences."""
    runs = {way: train_defended(context, way.defence, augmented=way.augmented, given=way.given) for way in FACTORIAL}
    images = images_to_attack(context, context.pick(1000, 10_000))
    attacks = {"FGSM": FGSM(context.ball), "PGD-10": PGD(context.ball, steps=10)}
    found = {
        way.name: context.once(way.name, outcomes, loaded(run, context), images, attacks, context)
        for way, run in runs.items()
    }
    sameness = gaps(loaded(undefended(context), context), images, context)
    return Found(context.radius_text, context.weights, context.data == "cifar10", found, sameness)


def tell(found: Found) -> StudyResult:
    """What each defence leaves and costs, and whether the two are one."""
    return StudyResult(
        name="defence",
        question=QUESTION,
        answer=_answer(found),
        figures={
            "Accuracy without an attack: what a defence costs.": _matrix(found, "clean"),
            "Accuracy under PGD-10: what it buys (intervals are in the table).": _matrix(found, "PGD-10"),
        },
        tables=(_accuracies(found), _effects(found), _gradients(found.sameness)),
    )


def _plain(found: Found, defence: str) -> Outcomes:
    """Trained from scratch, without augmentation."""
    return found.outcomes[Trained(defence, False, False).name]


def _answer(found: Found) -> str:
    plain = [_plain(found, defence) for defence in DEFENCES]
    clean, (none, loss, batch) = [one.clean for one in plain], [one.accuracy("PGD-10") for one in plain]
    rows = [found.outcomes[way.name].accuracy("PGD-10") for way in ROWS]
    return (
        f"Trained from scratch and attacked by PGD-10 with L∞ radius {found.radius}, the classifier without a defence"
        f" is right on {none} of images, with the FGSM loss on {loss}, with the PGD batch on {batch}. Without an attack"
        f" the three are right on {clean[0]}, {clean[1]} and {clean[2]}."
        f"{f' {order(rows)}' if found.comparable else ''} {same(found.sameness.gaps)}"
    )


def order(shares: Sequence[Proportion]) -> str:
    """Whether these accuracies under PGD, of the rows of the course's experiment, come in its order; a sentence."""
    apart = all(low.interval()[1] < high.interval()[0] for low, high in pairwise(shares))
    rising = all(low < high for low, high in pairwise(shares))
    if apart:
        verdict = "reproduces, with intervals apart"
    else:
        verdict = "reproduces, but intervals overlap" if rising else "does not reproduce"
    return f"The published order of the four rows {verdict}."


def same(measured: Sequence[Gap]) -> str:
    """Whether the two defences are one, without BatchNorm and with it; a sentence."""
    least = min(gap.relative for gap in measured if gap.batch_statistics)
    largest = max(gap.relative for gap in measured if not gap.batch_statistics)
    without = "are the same defence" if largest < EQUAL else "are not the same defence"
    differ = "they are two defences" if least > EQUAL else "they are the same, too"
    return (
        f"Without BatchNorm the adversarial loss and the adversarial batch {without}: their gradients differ by at most"
        f" {number(largest)} of their size. With it {differ}: they differ by {number(100 * least)} % or more."
    )


def effect(found: Found, pairs: Sequence[tuple[Trained, Trained]]) -> tuple[Difference, ...]:
    """How much more is right, clean and under each attack, with the first of each pair than with the second."""
    rows = []
    for name in ("clean", *ATTACKS):
        gained = [_right(found, a, name).double() - _right(found, b, name).double() for a, b in pairs]
        rows.append(mean_difference(torch.stack(gained).mean(0)))
    return tuple(rows)


def _right(found: Found, way: Trained, name: str) -> Bool[Tensor, " n"]:
    outcomes = found.outcomes[way.name]
    return outcomes.right if name == "clean" else ~outcomes.broken[name]


def _matrix(found: Found, name: str) -> Figure:
    """Defences in rows, the other factors in columns."""
    ways = {"scratch": (False, False), "given": (False, True), "augm.": (True, False), "augm., given": (True, True)}
    shares = [
        [_right(found, Trained(defence, *way), name).double().mean().item() for way in ways.values()]
        for defence in DEFENCES
    ]
    labels = {"row_label": "defence", "column_label": "images and weights trained on"}
    return figures.transfer_matrix(np.array(shares), list(DEFENCES), list(ways), **labels)


def _accuracies(found: Found) -> Table:
    images = _plain(found, "none").images
    rows = []
    for way in FACTORIAL:
        outcomes = found.outcomes[way.name]
        accuracies = [str(outcomes.clean), *(str(outcomes.accuracy(name)) for name in ATTACKS)]
        ways = [way.defence, "yes" if way.augmented else "no", "given" if way.given else "scratch"]
        rows.append((*ways, *accuracies, *([PUBLISHED.get(way, "")] if found.comparable else [])))
    return Table(
        f"Accuracy on {images:,} test images, L∞ radius {found.radius}",
        ("defence", "augmentation", "weights", "clean", *ATTACKS, *(["published"] if found.comparable else [])),
        rows,
        note=_note(found),
    )


def _note(found: Found) -> str:
    given = f"'{found.weights}'" if found.weights else "the undefended classifier in the first row"
    published = (
        " Published: clean / FGSM / PGD-10 in percent, public runs of the course's ResNet-18 at ≈ 2/255 with weights"
        " from ImageNet; compare the order of the rows, not the numbers."
    )
    return (
        "Brackets: 95 % intervals (Clopper–Pearson). FGSM loss: ½·J(x) + ½·J(x_FGSM). PGD batch: clean images and those"
        f" of PGD-{STEPS} in one batch. Given weights: those of {given}. PGD-10 starts at random."
        + published
        * found.comparable
    )


def _effects(found: Found) -> Table:
    def pairs(changed: Callable[[Trained], bool], **before: Any) -> list[tuple[Trained, Trained]]:
        return [(way, way._replace(**before)) for way in FACTORIAL if changed(way)]

    changes = {
        "FGSM loss instead of none": pairs(lambda way: way.defence == "FGSM loss", defence="none"),
        "PGD batch instead of none": pairs(lambda way: way.defence == "PGD batch", defence="none"),
        "augmentation": pairs(lambda way: way.augmented, augmented=False),
        "given weights instead of scratch": pairs(lambda way: way.given, given=False),
    }
    return Table(
        "What each factor does, averaged over the others",
        ("change", "clean", *ATTACKS),
        [(name, *map(str, effect(found, own))) for name, own in changes.items()],
        note="Mean over the pairs of classifiers that differ in this factor alone, with 95 % intervals over the same"
        " test images; these leave out how much training seeds differ.",
    )


def _gradients(sameness: Sameness) -> Table:
    return Table(
        "Adversarial loss and adversarial batch with the same attack and α = ½: do their gradients differ?",
        ("net", "attack", "relative difference", "cosine"),
        [(gap.net, gap.attack, gap.relative, gap.cosine) for gap in sameness.gaps],
        note=f"‖g₁ − g₂‖ / ‖g₁‖ over all parameters, {sameness.images} images, in float64; α is the weight of"
        " the loss on clean images.",
    )
