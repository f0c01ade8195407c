"""Training against an attack by recipe: the attack that is made, its warm-up, and validation under it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from epslab import attacks, seeds
from epslab.attacks import FGSM, PGD, LeastLikely
from epslab.defences import AdversarialBatch, AdversarialLoss
from epslab.errors import UserError
from epslab.geometry import L2, Linf
from epslab.recipes import SmallCNNRecipe
from epslab.recipes.classifier.adversarial import AdversarialObjective, attack, defence
from epslab.types import Batch, Progress


class NoBall:
    """Stands for an attack that minimises a distance."""


def recipe(**settings: Any) -> SmallCNNRecipe:
    return SmallCNNRecipe(**{"defence": "adversarial-loss", "radius": 0.25, **settings})


def progress(step: int, training: bool = True) -> Progress:
    return Progress(step // 10, step, 10, 5, training)


def batch(n: int = 6) -> Batch:
    images = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    return Batch(images, torch.arange(n) % 3, seeds.of_indices(0, torch.arange(n)))


class Watched(nn.Module):
    """A linear classifier that keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        with seeds.seeded(0, "weights"):
            self.linear = nn.Linear(16, 3)
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.detach())
        logits: Tensor = self.linear(images.flatten(1))
        return logits


def test_the_settings_make_the_attack() -> None:
    assert attack(recipe()) == PGD(Linf(0.25), steps=7)
    assert attack(recipe(attack_steps=3, attack_step_size="1/8", norm="l2")) == PGD(L2(0.25), steps=3, step_size=0.125)
    assert attack(recipe(attack="fgsm", radius="8/255")) == FGSM(Linf(8 / 255))
    assert attack(recipe(attack="least-likely")) == LeastLikely(Linf(0.25), steps=1)
    assert attack(recipe(attack_step_size=0.1), share=0.5) == PGD(Linf(0.125), steps=7, step_size=0.05)


def test_every_attack_made_from_a_ball_can_be_trained_against() -> None:
    for name in attacks.ATTACKS.builtin:
        assert isinstance(attack(recipe(attack=name)), attacks.ATTACKS[name])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"attack": "pdg"}, "Unknown attack 'pdg'. Did you mean 'pgd'?"),
        (
            {"attack": f"{__name__}:NoBall"},
            "NoBall'` is not built from a ball, which `radius=` needs; choose e.g. pgd.",
        ),
        ({"attack": "fgsm", "attack_steps": 3}, "`attack='fgsm'` has no steps; leave `attack_steps=` out."),
        (
            {"attack": "fgsm", "attack_step_size": 0.1},
            "`attack='fgsm'` has no step size; leave `attack_step_size=` out.",
        ),
    ],
)
def test_an_attack_that_cannot_be_made_is_refused_when_the_objective_is_made(
    settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError) as error:
        AdversarialObjective(Watched(), recipe(**settings))
    assert sentence in str(error.value)


def test_the_defence_is_the_recipes() -> None:
    assert defence(recipe(clean_weight=0.0)) == AdversarialLoss(PGD(Linf(0.25), steps=7), 0.0)
    both = recipe(defence="adversarial-batch", label_smoothing=0.1)
    assert defence(both) == AdversarialBatch(PGD(Linf(0.25), steps=7), 0.1)


@pytest.mark.parametrize(("step", "radius"), [(0, 0.25 / 20), (9, 0.125), (19, 0.25), (49, 0.25)])
def test_the_radius_rises_over_the_warm_up(step: int, radius: float) -> None:
    model, given = Watched(), batch()
    made = AdversarialObjective(model, recipe(attack="fgsm", clean_weight=0.0, radius_warmup_epochs=2.0))
    made(given, progress(step))
    largest = max(float((images - given.images).abs().max()) for images in model.seen)
    assert largest == pytest.approx(radius, abs=1e-6)


def test_validation_is_at_the_full_radius_whatever_the_warm_up() -> None:
    model, given = Watched(), batch()
    AdversarialObjective(model, recipe(attack="fgsm", radius_warmup_epochs=2.0))(given, progress(0, training=False))
    assert max(float((images - given.images).abs().max()) for images in model.seen) == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize("settings", [{"clean_weight": 0.25}, {"defence": "adversarial-batch"}])
def test_validations_loss_is_the_defences_own(settings: dict[str, Any]) -> None:
    model, given = Watched().eval(), batch()
    made = recipe(**settings)
    found = AdversarialObjective(model, made)(given, progress(0, training=False))
    own = defence(made)(model, given.images, given.labels, seeds=seeds.fork(given.seeds, "loss"))
    torch.testing.assert_close(found["loss"], own, check_stride=False)
    clean = (model(given.images).argmax(1) != given.labels).float()
    assert torch.equal(found["error"], clean)
    assert bool((found["robust_error"] >= clean).all())
    x_adv = attack(made).thorough()(model, given.images, given.labels, seeds=seeds.fork(given.seeds, "loss"))
    assert torch.equal(found["robust_error"], x_adv.success.float())


def test_solved_examples_are_pushed_on_in_validation() -> None:
    """On a linear model the loss under attack is that of the whole ball's optimum, at examples already wrong, too."""
    model, given = Watched().eval(), batch()
    found = AdversarialObjective(model, recipe(clean_weight=0.0))(given, progress(0, training=False))
    assert bool(found["error"].any())
    best = FGSM(Linf(0.25)).thorough()
    for label in range(3):
        # For two classes the sign of the weights' difference is the optimum; of three, the gradient's is near it.
        kept = given.labels == label
        pushed = best(model, given.images[kept], given.labels[kept]).images
        near = F.cross_entropy(model(pushed), given.labels[kept], reduction="none")
        assert bool((found["loss"][kept] >= 0.98 * near).all())


def test_it_works_in_inference_mode_where_lightning_validates() -> None:
    made = AdversarialObjective(Watched(), recipe())
    with torch.inference_mode():
        given = Batch(*(part.clone() for part in batch()))
        inside = made(given, progress(0, training=False))
    outside = made(batch(), progress(0, training=False))
    assert all(torch.equal(inside[name], outside[name]) for name in ("loss", "error", "robust_error"))


def test_training_noise_follows_the_examples_seeds_and_augments() -> None:
    model, given = Watched(), batch()

    def invert(images: Tensor, own: Tensor) -> Tensor:
        return 1 - images

    made = AdversarialObjective(model, recipe(attack="random"), invert)
    first, again = made(given, progress(0)), made(given, progress(0))
    other = made(given._replace(seeds=given.seeds + 1), progress(0))
    assert torch.equal(first["loss"], again["loss"])
    assert not torch.equal(first["loss"], other["loss"])
    assert any(torch.equal(images, 1 - given.images) for images in model.seen)
    assert not any(torch.equal(images, given.images) for images in model.seen)
    assert set(first) == {"loss", "error"}
