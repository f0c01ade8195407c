"""One step, several steps, a random start, restarts: what each gradient buys, and what leaving early saves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from epslab import figures
from epslab.attacks import FGSM, PGD, IterativeFGSM
from epslab.data import ImageSet
from epslab.geometry import Ball
from epslab.report import StudyResult, Table, number
from epslab.studies.classifiers import NETS
from epslab.studies.context import Context
from epslab.studies.outcomes import Outcomes, measured
from epslab.studies.pictures import with_intervals
from epslab.studies.trained import images_to_attack, loaded, train_defended, undefended
from epslab.types import Classifier

QUESTION = "FGSM or PGD: how much more do further gradient steps break, and what do they cost?"

STEPS = (1, 2, 5, 10, 20, 40)
RESTARTS = 5
FAMILIES = ("iterated FGSM", "PGD, random start", f"PGD, {RESTARTS} restarts")
STAYING = "PGD, random start, none leaves early"
COMPARED = 64
"""Images on which PGD from the image and iterated FGSM are compared, at most."""


@dataclass(frozen=True, eq=False)
class Tried:
    """A classifier under every attack."""

    outcomes: Outcomes  #: of "FGSM" and of each family at each number of steps
    apart: float  #: the largest pixel difference between iterated FGSM and PGD that starts at the image, over all steps
    compared: int  #: on how many images


@dataclass(frozen=True, eq=False)
class Found:
    """Two classifiers with the same net: "undefended" and "defended" (trained against PGD), attacked in one radius."""

    net: str
    radius: str
    steps: tuple[int, ...]  #: of the attacks, in rising order
    tried: Mapping[str, Tried]


def measure(context: Context) -> Found:
    """Attack an undefended and a defended classifier with every family at every number of steps."""
    runs = {"undefended": undefended(context), "defended": train_defended(context, "PGD batch")}
    images = images_to_attack(context, context.pick(360, 1000))
    tried = {name: context.once(name, tries, loaded(run, context), images, context) for name, run in runs.items()}
    return Found(context.classifier_net, context.radius_text, STEPS, tried)


def tries(model: Classifier, images: ImageSet, context: Context) -> Tried:
    """Every attack on one classifier."""
    ball = context.ball
    attacks: dict[str, Any] = {"FGSM": FGSM(ball)}
    attacks |= {key(family, steps): attack(family, ball, steps) for family in FAMILIES for steps in STEPS}
    attacks |= {key(STAYING, steps): attack(FAMILIES[1], ball, steps).thorough() for steps in STEPS}
    part = images[: min(COMPARED, len(images))]
    return Tried(Outcomes.of(measured(model, images, attacks, context)), _apart(model, part, context), len(part))


def attack(family: str, ball: Ball, steps: int) -> PGD | IterativeFGSM:
    """An attack of the family with this number of steps (in each restart)."""
    if family == FAMILIES[0]:
        return IterativeFGSM(ball, steps=steps)
    return PGD(ball, steps=steps, restarts=RESTARTS if family == FAMILIES[2] else 1)


def key(family: str, steps: int) -> str:
    """The name of an attack."""
    return f"{family} {steps}"


def _apart(model: Classifier, images: ImageSet, context: Context) -> float:
    worst = 0.0
    for steps in STEPS:
        pair = {
            "iterated": IterativeFGSM(context.ball, steps=steps),
            "started": PGD(context.ball, steps=steps, random_start=False),
        }
        report = measured(model, images, pair, context)
        iterated, started = (report.adversarial(name, range(len(images))) for name in pair)
        worst = max(worst, (iterated - started).abs().max().item())
    return worst


def tell(found: Found) -> StudyResult:
    """What PGD breaks beyond FGSM, and for how many gradients, without a defence and with one."""
    return StudyResult(
        name="fgsm-or-pgd",
        question=QUESTION,
        answer=_answer(found),
        figures={
            f"The {name} classifier's accuracy against gradients per image, with 95 % intervals. Each marker is a"
            f" number of steps: {', '.join(map(str, found.steps))}. One step of iterated FGSM is FGSM.": _costs(
                tried.outcomes, found.steps
            )
            for name, tried in found.tried.items()
        },
        tables=(*(_table(found, name) for name in found.tried), _table_of_savings(found)),
    )


def _answer(found: Found) -> str:
    most = found.steps[-1]
    pgd = key(FAMILIES[1], most)
    plain, held = (found.tried[name].outcomes for name in ("undefended", "defended"))
    fewer = []
    for outcomes in (plain, held):
        times = _times(outcomes, most)
        fewer.append(
            f"{number(times)} times fewer than if solved images stayed in the batch"
            if times
            else "no image had to be attacked"
        )
    return (
        f"Without a defence FGSM leaves {plain.accuracy('FGSM')} of images right and PGD-{most}"
        f" {plain.accuracy(pgd)}: PGD breaks {plain.more(pgd, 'FGSM')} more, with {number(plain.gradients[pgd])}"
        f" gradients per image instead of {number(plain.gradients['FGSM'])} ({fewer[0]}). On"
        f" {NETS[found.net]} trained against PGD it breaks {held.more(pgd, 'FGSM')} more than FGSM, with"
        f" {number(held.gradients[pgd])} gradients per image ({fewer[1]})."
    )


def _times(outcomes: Outcomes, steps: int) -> float | None:
    """How many times fewer gradients are spent because solved images leave; None where none are spent at all."""
    spent = outcomes.gradients[key(FAMILIES[1], steps)]
    return outcomes.gradients[key(STAYING, steps)] / spent if spent else None


def _costs(outcomes: Outcomes, steps: Sequence[int]) -> Figure:
    curves = {}
    for family in FAMILIES:
        own = [key(family, n) for n in steps]
        curves[family] = [outcomes.gradients[name] for name in own], with_intervals(map(outcomes.accuracy, own))
    return figures.accuracy_costs(curves, x_label="gradients per image")


def _table(found: Found, classifier: str) -> Table:
    tried = found.tried[classifier]

    def cells(name: str) -> tuple[str, float]:
        return str(tried.outcomes.accuracy(name)), tried.outcomes.gradients[name]

    rows = [(str(n), *(cell for family in FAMILIES for cell in cells(key(family, n)))) for n in found.steps]
    same = ": the same {} images bit for bit at every number of steps."
    differ = " only nearly: {} images differ by up to {}."
    return Table(
        f"The {classifier} classifier, L∞ radius {found.radius}: accuracy, and gradients per image",
        ("steps", *(column for family in FAMILIES for column in (family, "gradients"))),
        [("FGSM", *cells("FGSM"), *("", None) * (len(FAMILIES) - 1)), *rows],
        note="PGD that starts at the image itself, as the course's does, is iterated FGSM"
        + (differ if tried.apart else same).format(tried.compared, number(tried.apart)),
    )


def _table_of_savings(found: Found) -> Table:
    columns = ("accuracy", "gradients", "accuracy, none leaves", "gradients, none leaves", "times fewer")
    rows: list[tuple[str | int | float | None, ...]] = []
    for name, tried in found.tried.items():
        outcomes = tried.outcomes
        for steps in found.steps:
            both = [key(FAMILIES[1], steps), key(STAYING, steps)]
            cells = [cell for one in both for cell in (str(outcomes.accuracy(one)), outcomes.gradients[one])]
            rows.append((name, steps, *cells, _times(outcomes, steps)))
    images = found.tried["undefended"].outcomes.images
    return Table(
        "What leaving early saves, PGD with a random start",
        ("classifier", "steps", *columns),
        rows,
        note=f"{images:,} test images; gradients are averaged over them. An image leaves the batch at the first"
        " success, and an image that the classifier gets wrong without an attack costs none.",
    )
