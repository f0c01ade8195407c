"""One step, several steps, a random start, restarts: what each gradient buys, and what leaving early saves."""

from typing import Any, NamedTuple

import torch

from epslab import figures
from epslab.attacks import FGSM, PGD, IterativeFGSM
from epslab.classifiers import Proportion
from epslab.data import ImageSet
from epslab.geometry import Ball
from epslab.report import StudyResult, Table
from epslab.studies.classifiers import NETS, images_to_attack, loaded, measured, undefended
from epslab.studies.context import Context
from epslab.studies.defended import train_defended
from epslab.studies.paired import difference
from epslab.studies.pictures import with_intervals
from epslab.types import Classifier

QUESTION = "FGSM or PGD: how much more do further gradient steps break, and what do they cost?"

STEPS = (1, 2, 5, 10, 20, 40)
RESTARTS = 5
FAMILIES = ("iterated FGSM", "PGD, random start", f"PGD, {RESTARTS} restarts")
STAYING = "PGD, random start, none leaves early"


class Tried(NamedTuple):
    """An attack on all images."""

    accuracy: Proportion
    broken: torch.Tensor  #: [n]
    spent: float  #: gradients an image


def attack(family: str, ball: Ball, steps: int) -> PGD | IterativeFGSM:
    """An attack of the family with so many steps (of each restart)."""
    if family == FAMILIES[0]:
        return IterativeFGSM(ball, steps=steps)
    return PGD(ball, steps=steps, restarts=RESTARTS if family == FAMILIES[2] else 1)


def run(context: Context) -> StudyResult:
    """Attack an undefended and a defended classifier with every family at every number of steps."""
    runs = {"undefended": undefended(context), "defended": train_defended(context, "PGD batch")}
    images = images_to_attack(context, context.pick(360, 1000))
    models = {name: loaded(trained, context) for name, trained in runs.items()}
    found = {name: tries(model, images, context) for name, model in models.items()}
    same = {name: starting_at_the_image(model, images, context) for name, model in models.items()}
    plain, held = found["undefended"], found["defended"]
    last, staying = (FAMILIES[1], STEPS[-1]), (STAYING, STEPS[-1])
    more, held_more = (difference(tried[last].broken, tried["FGSM"].broken) for tried in (plain, held))
    return StudyResult(
        name="fgsm-or-pgd",
        question=QUESTION,
        answer=(
            f"Without a defence FGSM leaves {plain['FGSM'].accuracy} standing and PGD-{STEPS[-1]}"
            f" {plain[last].accuracy}: it breaks {more} more, for {plain[last].spent:.1f} gradients an image"
            f" ({plain[staying].spent / plain[last].spent:.1f} times fewer than if none left once it is solved) instead"
            f" of {plain['FGSM'].spent:.1f}. On {NETS[context.classifier_net]} trained against PGD it breaks"
            f" {held_more} more than FGSM, for {held[last].spent:.1f} gradients an image"
            f" ({held[staying].spent / held[last].spent:.1f} times fewer)."
        ),
        figures={
            f"The {name} classifier's accuracy against the gradients spent an image (each marker a number of steps:"
            f" {', '.join(map(str, STEPS))}), with 95 % intervals.": figures.accuracy_costs(
                {
                    "FGSM": ([tried["FGSM"].spent], with_intervals([tried["FGSM"].accuracy])),
                    **{
                        family: (
                            [tried[family, steps].spent for steps in STEPS],
                            with_intervals([tried[family, steps].accuracy for steps in STEPS]),
                        )
                        for family in FAMILIES
                    },
                },
                x_label="gradients spent an image",
            )
            for name, tried in found.items()
        },
        tables=(
            *(
                Table(
                    f"The {name} classifier, L∞ radius {context.radius_text}: accuracy, and gradients spent an image",
                    ("steps", *(column for family in FAMILIES for column in (family, "gradients"))),
                    [
                        ("FGSM", str(tried["FGSM"].accuracy), tried["FGSM"].spent, "", None, "", None),
                        *(
                            (
                                str(steps),
                                *(
                                    cell
                                    for family in FAMILIES
                                    for cell in (str(tried[family, steps].accuracy), tried[family, steps].spent)
                                ),
                            )
                            for steps in STEPS
                        ),
                    ],
                    note=same[name],
                )
                for name, tried in found.items()
            ),
            Table(
                "What leaving early saves, PGD with a random start",
                (
                    "classifier",
                    "steps",
                    "accuracy",
                    "gradients",
                    "accuracy, none leaves",
                    "gradients, none leaves",
                    "times fewer",
                ),
                [
                    (name, steps, *_saving(tried[FAMILIES[1], steps], tried[STAYING, steps]))
                    for name, tried in found.items()
                    for steps in STEPS
                ],
                note=(
                    f"{len(images):,} test images, gradients a mean over them. An image leaves at its first success,"
                    " and those the classifier gets wrong as they are cost none."
                ),
            ),
        ),
        runs=tuple(trained.folder for trained in runs.values()),
    )


def tries(model: Classifier, images: ImageSet, context: Context) -> dict[Any, Tried]:
    """Every attack: "FGSM", and by family and steps."""
    ball = context.ball
    attacks: dict[Any, Any] = {"FGSM": FGSM(ball)}
    attacks |= {(family, steps): attack(family, ball, steps) for family in FAMILIES for steps in STEPS}
    attacks |= {(STAYING, steps): attack(FAMILIES[1], ball, steps).thorough() for steps in STEPS}
    report = measured(model, images, {_name(key): value for key, value in attacks.items()}, context)
    return {
        key: Tried(
            report.robust_accuracy[_name(key)],
            report.attacks[_name(key)].broken,
            report.attacks[_name(key)].gradients.double().mean().item(),
        )
        for key in attacks
    }


def starting_at_the_image(model: Classifier, images: ImageSet, context: Context) -> str:
    """Whether PGD that starts at the image, as the course's does, gives iterated FGSM's images; a sentence."""
    part = images[: min(64, len(images))]
    worst = 0.0
    for steps in STEPS:
        iterated = IterativeFGSM(context.ball, steps=steps)
        started = PGD(context.ball, steps=steps, random_start=False)
        report = measured(model, part, {"iterated": iterated, "started": started}, context)
        everyone = range(len(part))
        a, b = (report.adversarial(name, everyone) for name in ("iterated", "started"))
        worst = max(worst, (a - b).abs().max().item())
    beginning = "PGD that starts at the image itself, as the course's does, is iterated FGSM"
    if worst == 0:
        return f"{beginning}: the same {len(part)} images bit for bit at every number of steps."
    return f"{beginning} only nearly: {len(part)} images differ by up to {worst:.1g}."


def _name(key: Any) -> str:
    return key if isinstance(key, str) else f"{key[0]} {key[1]}"


def _saving(leaving: Tried, staying: Tried) -> tuple[str, float, str, float, float | None]:
    times = staying.spent / leaving.spent if leaving.spent else None
    return str(leaving.accuracy), leaving.spent, str(staying.accuracy), staying.spent, times
