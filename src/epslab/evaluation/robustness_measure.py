"""What an attack achieved, measured on the images it returned: the attack's own claims are not used."""

from jaxtyping import Int
from torch import Tensor

from epslab.attacks.attacked import Attack, require_attacked
from epslab.attacks.objectives import margin
from epslab.errors import UserError
from epslab.evaluation.eight_bits import SLACK, rounded
from epslab.evaluation.portions import Portion, answers
from epslab.evaluation.robustness_jobs import Job
from epslab.evaluation.robustness_store import PICTURES
from epslab.geometry import Ball
from epslab.runs import norm_text
from epslab.seeds import of_indices
from epslab.types import Classifier, Seeds


def clean(model: Classifier, portion: Portion) -> dict[str, Tensor]:
    """The model's answers to the images themselves; ``margin`` is z_y − max_{j≠y} z_j, positive where it is right."""
    logits = answers(model, portion.images, portion)
    prediction = logits.argmax(1)
    return {
        "right": prediction == portion.labels,
        "prediction": prediction,
        "margin": -margin(logits, portion.labels).double(),
        "eight_bit": portion.eight_bit,
    }


def attacking(
    model: Classifier, attack: Attack, name: str, indices: Int[Tensor, " n"], seed: int, *, check: bool = False
) -> Job:
    """The job that runs an attack on these examples; an attack of the checks keeps no images."""
    stream, called = (("checks", name), f"{name} (a check)") if check else ((name,), name)

    def work(portion: Portion) -> dict[str, Tensor]:
        own = of_indices(seed, portion.indices, "robustness", *stream).to(portion.labels.device)
        found = attacked(model, attack, called, portion, own)
        return {key: value for key, value in found.items() if not (check and key in PICTURES)}

    return Job(f"{'checks' if check else 'attacks'}/{name}", indices, work)


def attacked(model: Classifier, attack: Attack, name: str, portion: Portion, seeds: Seeds) -> dict[str, Tensor]:
    """Run an attack on a batch, and measure what it returned.

    Returns:
        Per example: ``right`` (the model still says the label), ``prediction``, ``claimed`` (the success that the
        attack reports), ``distance`` (in the attack's norm), ``queries``, ``gradients``, ``images``, ``pixels`` (the
        images in 8 bits, see ``eight_bits.rounded``), ``right_rounded`` (the model says the label of those),
        ``rounding`` (gradients spent on the search for them, not counted among the attack's).

    Raises:
        UserError: The attack broke its rules: a result of another form, images of another shape or type, outside the
            box or outside its ball (in float64), or that are NaN.
    """
    found = attack(model, portion.images, portion.labels, seeds=seeds)
    require_attacked(found, f"The attack '{name}'", len(portion.labels))
    x = found.images.detach()
    if x.shape != portion.images.shape or x.dtype != portion.images.dtype:
        raise UserError(
            f"The attack '{name}' returned images {x.dtype} {list(x.shape)} for {portion.images.dtype}"
            f" {list(portion.images.shape)}: an attack keeps shape and type."
        )
    norm, radius = attack.norm, float(attack.radius)
    distance = Ball(norm, 0.0).distance(x, portion.images)
    wide = x.double().flatten(1)
    outside = ~((wide >= 0) & (wide <= 1)).all(1) | ~(distance <= radius * (1 + SLACK))
    if outside.any():
        worst = int(outside.nonzero()[0, 0])
        raise UserError(
            f"The attack '{name}' breaks its rules at example {int(portion.indices[worst])}: its image runs from"
            f" {wide[worst].min():.9g} to {wide[worst].max():.9g} (allowed: 0 to 1) at {norm_text(norm)} distance"
            f" {distance[worst]:.9g} (allowed: {radius:.9g}); project with Ball.project, and clamp."
        )
    prediction = answers(model, x, portion).argmax(1)
    right = prediction == portion.labels
    pixels, right_rounded, spent = rounded(model, x, ~right, portion, ball_of(attack))
    return {
        "right": right,
        "prediction": prediction,
        "claimed": found.success,
        "distance": distance,
        "queries": found.queries.long(),
        "gradients": found.gradients.long(),
        "images": x,
        "pixels": pixels,
        "right_rounded": right_rounded,
        "rounding": spent,
    }


def ball_of(attack: Attack) -> Ball | None:
    """The ball an attack stays in; None if it has none."""
    radius = float(attack.radius)
    return Ball(attack.norm, radius) if radius < float("inf") else None
