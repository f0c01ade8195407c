"""Attacks made on one model and tried on another: what knowing the weights, the architecture or neither is worth."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from epslab import figures
from epslab.attacks import FGSM, PGD, Attack, RandomNoise, Transfer
from epslab.report import StudyResult, Table
from epslab.studies.classifiers import NETS, SURROGATES, images_to_attack, loaded, measured
from epslab.studies.context import Context
from epslab.studies.paired import difference

if TYPE_CHECKING:
    from epslab.runs import Run

QUESTION = "Does an attack made on one model fool another that it never saw, trained on other images?"

KINDS: dict[str, Any] = {"FGSM": FGSM, "PGD-10": lambda ball: PGD(ball, steps=10)}
THREATS = ("white box", "gray box", "black box")


def run(context: Context) -> StudyResult:
    """Train on two disjoint halves, two nets, and try every attack on every model."""
    runs = _train(context)
    names = tuple(runs)
    target = names[0]
    models = {name: loaded(trained, context) for name, trained in runs.items()}
    images = images_to_attack(context, context.pick(1000, 2000))
    found = {}
    for name, model in models.items():
        attacks: dict[str, Attack] = {"noise": RandomNoise(context.ball)}
        for kind, make in KINDS.items():
            for surrogate in models:
                attack: Attack = make(context.ball)
                attacks[_key(kind, surrogate)] = attack if surrogate == name else Transfer(models[surrogate], attack)
        found[name] = measured(model, images, attacks, context)
    mine = found[target]
    strongest = tuple(KINDS)[-1]
    white, gray, black = (mine.robust_accuracy[_key(strongest, surrogate)] for surrogate in names)
    best = max(KINDS, key=lambda kind: int(mine.attacks[_key(kind, names[2])].broken.sum()))
    over_noise = difference(mine.attacks[_key(best, names[2])].broken, mine.attacks["noise"].broken)
    own, other = NETS[context.classifier_net], NETS[_other(context)]
    return StudyResult(
        name="transfer",
        question=QUESTION,
        answer=(
            f"At L∞ radius {context.radius_text} {strongest} on its own weights leaves {own} {white}"
            f" (clean {mine.clean_accuracy}); made on a second such net, trained on the other half of the images, it"
            f" leaves {gray}, and made on {other}, {black}. Of those made on {other}, {best}'s break {over_noise} more"
            " than random noise of the same size does."
        ),
        figures={
            f"Accuracy under {kind}: rows say on which model the attack was made, columns on which it was tried; the"
            " diagonal is the white box.": figures.transfer_matrix(
                np.array(
                    [[float(found[tried].robust_accuracy[_key(kind, made)]) for tried in names] for made in names]
                ),
                names,
                names,
            )
            for kind in KINDS
        },
        tables=(
            Table(
                f"What an attacker of '{target}' knows, L∞ radius {context.radius_text}",
                ("threat model", "the attack is made on", *KINDS, "more than noise"),
                [
                    *(
                        (
                            threat,
                            about,
                            *(str(mine.robust_accuracy[_key(kind, surrogate)]) for kind in KINDS),
                            str(
                                difference(
                                    mine.attacks[_key(strongest, surrogate)].broken, mine.attacks["noise"].broken
                                )
                            ),
                        )
                        for threat, surrogate, about in zip(
                            THREATS,
                            names,
                            (
                                "its own weights",
                                "the same architecture, the other half, another seed",
                                f"{other}, the other half, another seed",
                            ),
                            strict=True,
                        )
                    ),
                    ("random noise", "nothing", *([str(mine.robust_accuracy["noise"])] * len(KINDS)), ""),
                    ("no attack", "", *([str(mine.clean_accuracy)] * len(KINDS)), ""),
                ],
                note=(
                    f"Accuracy on {len(images):,} test images with 95 % intervals; more than noise: what {strongest}"
                    " breaks beyond one draw of ± radius a pixel, on the same images. Transferred attacks go for the"
                    " surrogate's greatest loss and do not stop at its boundary."
                ),
            ),
            *(
                Table(
                    f"{kind}: accuracy of the column's model on images made for the row's",
                    ("made on", *names),
                    [
                        (made, *(str(found[tried].robust_accuracy[_key(kind, made)]) for tried in names))
                        for made in names
                    ],
                )
                for kind in KINDS
            ),
            Table(
                "The models",
                ("name", "net", "images it was trained on", "clean accuracy"),
                [
                    (name, _net(context, name), f"half {'A' if name == target else 'B'}", str(report.clean_accuracy))
                    for name, report in found.items()
                ],
                note="The halves are disjoint, and the same for every seed.",
            ),
        ),
        runs=tuple(trained.folder for trained in runs.values()),
    )


def _train(context: Context) -> dict[str, "Run"]:
    """The target on half A; the same net and another on half B; each with a seed of its own."""
    net, other = context.classifier_net, _other(context)
    surrogate = replace(SURROGATES[context.scale][other], half="B")
    return {
        f"{net}, A": context.train(context.classifier(half="A"), f"{net}-half-a", context.seed),
        f"{net}, B": context.train(context.classifier(half="B"), f"{net}-half-b", context.seed + 1),
        f"{other}, B": context.train(surrogate, f"{other}-half-b", context.seed + 2),
    }


def _other(context: Context) -> str:
    return next(net for net in NETS if net != context.classifier_net)


def _net(context: Context, name: str) -> str:
    net = name.partition(",")[0]
    return NETS[net].partition(" ")[2]


def _key(kind: str, surrogate: str) -> str:
    return f"{kind} made on {surrogate}"
