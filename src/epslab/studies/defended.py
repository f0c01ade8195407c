"""The classifiers of the study of defences, each trained once and shared."""

from typing import TYPE_CHECKING, Any

from epslab.studies.classifiers import undefended

if TYPE_CHECKING:
    from epslab.runs import Run
    from epslab.studies.context import Context

STEPS = 5  #: of PGD in training
DEFENCES: dict[str, dict[str, Any]] = {
    "none": {},
    "FGSM loss": {"defence": "adversarial-loss", "attack": "fgsm"},
    "PGD batch": {"defence": "adversarial-batch", "attack": "pgd", "attack_steps": STEPS},
}
"""The settings of each defence."""


def train_defended(context: "Context", defence: str, *, augmented: bool = False, given: bool = False) -> "Run":
    """A classifier trained with this defence, on changed images or not, from scratch or from given weights.

    The given weights are the context's, or those of its undefended classifier.
    """
    plain = undefended(context)
    if defence == "none" and not augmented and not given:
        return plain
    changes = dict(DEFENCES[defence])
    if changes:
        changes["radius"] = context.radius_text
    if augmented:
        c, _, _ = plain.config["provenance"]["image_shape"]
        changes["augment"] = "flip-crop" if c == 3 else "crop"
    if given:
        changes["weights"] = context.weights or str(plain.folder)
    parts = [defence.lower().replace(" ", "-"), *["augmented"] * augmented, *["given"] * given]
    return context.train(context.classifier(**changes), "-".join([context.classifier_net, *parts]), context.seed)
