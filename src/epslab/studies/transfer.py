"""Attacks made on one model and tried on another: what knowing the weights, the architecture or neither is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from epslab import figures
from epslab.attacks import FGSM, PGD, Attack, RandomNoise, Transfer
from epslab.data import ImageSet
from epslab.report import StudyResult, Table
from epslab.studies.classifiers import NETS, SURROGATES
from epslab.studies.context import Context
from epslab.studies.outcomes import Outcomes, outcomes
from epslab.studies.trained import images_to_attack, loaded
from epslab.types import Classifier

if TYPE_CHECKING:
    from epslab.runs import Run

QUESTION = "Does an attack made on one model fool another model that was trained on other images?"

KINDS: dict[str, Any] = {"FGSM": FGSM, "PGD-10": lambda ball: PGD(ball, steps=10)}
STRONGEST = "PGD-10"
THREATS = ("white box", "gray box", "black box")


@dataclass(frozen=True, eq=False)
class Found:
    """Three models: the target, the same net trained on other images, another net trained on those.

    Args:
        net: Of the target, in ``NETS``.
        other: Of the third model.
        radius: As it was given.
        outcomes: By model, the target first: under "noise" and under every kind of attack made on every model.
    """

    net: str
    other: str
    radius: str
    outcomes: Mapping[str, Outcomes]

    @property
    def names(self) -> tuple[str, ...]:
        """The models: target, same net, other net."""
        return tuple(self.outcomes)

    @property
    def target(self) -> Outcomes:
        """The attacked model's."""
        return self.outcomes[self.names[0]]


def measure(context: Context) -> Found:
    """Train on two disjoint halves, two nets, and try every attack on every model."""
    net, other = context.classifier_net, _other(context)
    models = {name: loaded(run, context) for name, run in _train(context).items()}
    images = images_to_attack(context, context.pick(1000, 2000))
    found = {name: context.once(name, _tried, name, models, images, context) for name in models}
    return Found(net, other, context.radius_text, found)


def key(kind: str, surrogate: str) -> str:
    """The name of an attack."""
    return f"{kind} made on {surrogate}"


def _train(context: Context) -> dict[str, "Run"]:
    """The target on half A; the same net and another on half B; each with another seed."""
    net, other = context.classifier_net, _other(context)
    surrogate = replace(SURROGATES[context.scale][other], half="B")
    return {
        f"{net}, A": context.train(context.classifier(half="A"), f"{net}-half-a", context.seed),
        f"{net}, B": context.train(context.classifier(half="B"), f"{net}-half-b", context.seed + 1),
        f"{other}, B": context.train(surrogate, f"{other}-half-b", context.seed + 2),
    }


def _other(context: Context) -> str:
    return next(net for net in NETS if net != context.classifier_net)


def _tried(name: str, models: Mapping[str, Classifier], images: ImageSet, context: Context) -> Outcomes:
    """Noise, and every attack made on every model, tried on this one."""
    attacks: dict[str, Attack] = {"noise": RandomNoise(context.ball)}
    for kind, make in KINDS.items():
        for surrogate, model in models.items():
            attack: Attack = make(context.ball)
            attacks[key(kind, surrogate)] = attack if surrogate == name else Transfer(model, attack)
    return outcomes(models[name], images, attacks, context)


def tell(found: Found) -> StudyResult:
    """What is left of the target's accuracy, the less the attacker knows."""
    return StudyResult(
        name="transfer",
        question=QUESTION,
        answer=_answer(found),
        figures={
            f"Accuracy under {kind}: rows say on which model the attack was made, columns on which it was tried; the"
            " diagonal is the white box.": _matrix(found, kind)
            for kind in KINDS
        },
        tables=(_threats(found), *(_table(found, kind) for kind in KINDS), _models(found)),
    )


def _answer(found: Found) -> str:
    target, (own, same, other) = found.target, found.names
    white, gray, black = (target.accuracy(key(STRONGEST, name)) for name in (own, same, other))
    best = max(KINDS, key=lambda kind: int(target.broken[key(kind, other)].sum()))
    return (
        f"Without an attack {NETS[found.net]} is right on {target.clean} of test images, and on {white} after"
        f" {STRONGEST} with L∞ radius {found.radius} on its own weights. If the attack is made on a second net like it,"
        f" trained on the other half of the images, it is right on {gray}; if it is made on {NETS[found.other]}, on"
        f" {black}. Made on {NETS[found.other]}, {best} breaks {target.more(key(best, other), 'noise')} more than"
        " random noise of the same size."
    )


def _matrix(found: Found, kind: str) -> Figure:
    names = found.names
    shares = [[float(found.outcomes[tried].accuracy(key(kind, made))) for tried in names] for made in names]
    return figures.transfer_matrix(np.array(shares), names, names)


def _threats(found: Found) -> Table:
    target, elsewhere = found.target, "the other half, another seed"
    known = ("its own weights", f"the same architecture, {elsewhere}", f"{NETS[found.other]}, {elsewhere}")
    rows = []
    for threat, surrogate, about in zip(THREATS, found.names, known, strict=True):
        accuracies = [str(target.accuracy(key(kind, surrogate))) for kind in KINDS]
        rows.append((threat, about, *accuracies, str(target.more(key(STRONGEST, surrogate), "noise"))))
    for threat, about, accuracy in (
        ("random noise", "nothing", target.accuracy("noise")),
        ("no attack", "", target.clean),
    ):
        rows.append((threat, about, *[str(accuracy)] * len(KINDS), ""))
    return Table(
        f"What an attacker of '{found.names[0]}' knows, L∞ radius {found.radius}",
        ("threat model", "the attack is made on", *KINDS, "more than noise"),
        rows,
        note=f"Accuracy on {target.images:,} test images with 95 % intervals. More than noise: what {STRONGEST} breaks"
        " beyond one draw of ± radius for every pixel, on the same images. Transferred attacks seek the surrogate's"
        " greatest loss and do not stop at its decision boundary.",
    )


def _table(found: Found, kind: str) -> Table:
    names = found.names
    return Table(
        f"{kind}: accuracy of the column's model on images made for the row's",
        ("made on", *names),
        [(made, *(str(found.outcomes[tried].accuracy(key(kind, made))) for tried in names)) for made in names],
    )


def _models(found: Found) -> Table:
    nets = (found.net, found.net, found.other)
    return Table(
        "The models",
        ("name", "net", "images it was trained on", "clean accuracy"),
        [
            (name, NETS[net].partition(" ")[2], f"half {half}", str(found.outcomes[name].clean))
            for name, net, half in zip(found.names, nets, "ABB", strict=True)
        ],
        note="The halves are disjoint, and the same for every seed.",
    )
