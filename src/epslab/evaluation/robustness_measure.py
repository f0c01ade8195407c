"""What an attack achieved, measured on the images it returned: nothing here believes the attack's own word."""

import torch
from jaxtyping import Float
from torch import Tensor

from epslab.attacks.attacked import Attack
from epslab.attacks.checks import checked_logits
from epslab.attacks.objectives import margin
from epslab.errors import UserError
from epslab.evaluation.robustness_jobs import Portion
from epslab.geometry import Ball
from epslab.types import Classifier, Images, Labels, Logits, Seeds

_SLACK = 1e-9
"""Of the radius: what a float64 sum may be off by. A float32 overshoot of 8/255 is a thousand times larger."""


def clean(model: Classifier, portion: Portion) -> dict[str, Tensor]:
    """The model's answers to the images themselves; ``margin`` is z_y − max_{j≠y} z_j, positive where it is right."""
    logits = answers(model, portion.images, portion.labels)
    prediction = logits.argmax(1)
    return {
        "right": prediction == portion.labels,
        "prediction": prediction,
        "margin": -margin(logits, portion.labels).double(),
        "eight_bit": portion.eight_bit,
    }


def attacked(model: Classifier, attack: Attack, name: str, portion: Portion, seeds: Seeds) -> dict[str, Tensor]:
    """Run an attack on a batch, and measure what it returned.

    Returns:
        Per example: ``right`` (the model still says the label), ``prediction``, ``claimed`` (the attack's own idea of
        its success), ``distance`` (measured in the attack's norm, L2 where it has none), ``queries``, ``gradients``,
        ``images``, ``pixels`` (them in 8 bits, see ``rounded``), ``right_rounded`` (the model's answer to those).

    Raises:
        UserError: The attack broke its rules: images of another shape or type, outside the box or outside its ball (in
            float64), or that are NaN.
    """
    found = attack(model, portion.images, portion.labels, seeds=seeds)
    x = found.images.detach()
    if x.shape != portion.images.shape or x.dtype != portion.images.dtype:
        raise UserError(
            f"The attack '{name}' returned images {x.dtype} {list(x.shape)} for {portion.images.dtype}"
            f" {list(portion.images.shape)}: an attack keeps shape and type."
        )
    norm, radius = attack.norm, float(attack.radius)
    distance = Ball(norm, 0.0).distance(x, portion.images)
    wide = x.double().flatten(1)
    outside = ~((wide >= 0) & (wide <= 1)).all(1) | ~(distance <= radius * (1 + _SLACK))
    if outside.any():
        worst = int(outside.nonzero()[0, 0])
        raise UserError(
            f"The attack '{name}' breaks its rules at example {int(portion.indices[worst])}: its image runs from"
            f" {wide[worst].min():.9g} to {wide[worst].max():.9g} (allowed: 0 to 1) at {norm} distance"
            f" {distance[worst]:.9g} (allowed: {radius:.9g}); project with Ball.project, and clamp."
        )
    pixels = rounded(x, portion, Ball(norm, radius) if radius < float("inf") else None)
    prediction = answers(model, x, portion.labels).argmax(1)
    prediction_rounded = answers(model, _shown(pixels, x), portion.labels).argmax(1)
    return {
        "right": prediction == portion.labels,
        "prediction": prediction,
        "claimed": found.success,
        "distance": distance,
        "queries": found.queries.long(),
        "gradients": found.gradients.long(),
        "images": x,
        "pixels": pixels,
        "right_rounded": prediction_rounded == portion.labels,
    }


def rounded(images: Images, portion: Portion, ball: Ball | None) -> Tensor:
    """Adversarial images in 8 bits, uint8 [n c h w]: each pixel's nearest level, where that stays in the ball.

    An example that leaves the ball by it has every pixel rounded towards the clean image instead, which cannot.
    The ball is held to in exact levels of 1/255, so that a perturbation of 8/255 is one of 8 levels.
    """
    levels = portion.levels.double()
    steps = images.double() * 255 - levels
    nearest = steps.round()
    if ball is not None:
        radii = float(ball.radius) * (1 + _SLACK)
        beyond = ball.distance(nearest / 255, torch.zeros_like(nearest)) > radii
        # A whole step that float32 left a little short of is still a whole step.
        inward = (steps + steps.sign() * 1e-3).trunc()
        nearest = torch.where(beyond[:, None, None, None], inward, nearest)
    return (levels + nearest).clamp_(0, 255).to(torch.uint8)


@torch.no_grad()
def answers(model: Classifier, images: Images, labels: Labels) -> Logits:
    """The model's logits in its full precision.

    Raises:
        UserError: They are not finite logits [n classes] with a class for each label.
    """
    with torch.autocast(images.device.type, enabled=False):
        return checked_logits(model(images), labels)


def ball_of(attack: Attack) -> Ball | None:
    """The ball an attack stays in; None if it has none."""
    radius = float(attack.radius)
    return Ball(attack.norm, radius) if radius < float("inf") else None


def require_one_radius(name: str, attack: Attack) -> None:
    """Refuse a ball with a radius per example: attacks meet the examples in batches.

    Raises:
        UserError: The attack has one.
    """
    if isinstance(attack.radius, Tensor):
        raise UserError(
            f"The attack '{name}' has a radius per example; an evaluation takes one radius for all of them."
        )


def _shown(pixels: Tensor, like: Tensor) -> Float[Tensor, "n c h w"]:
    """8-bit images as the model is given them."""
    return (pixels.to(torch.float32) / 255).to(like.dtype)
