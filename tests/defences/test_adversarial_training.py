"""Adversarial losses against their definitions, and against each other with and without BatchNorm."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from epslab.attacks import FGSM, PGD, Attack, Attacked, RandomNoise, Restarts, Transfer, WorstCase
from epslab.classifiers import ClassifierObjective, CrossEntropy
from epslab.classifiers.objective import Loss
from epslab.defences import AdversarialBatch, AdversarialLoss
from epslab.errors import UserError
from epslab.geometry import L1, L2, Ball, Linf
from epslab.seeds import noise
from epslab.types import Batch, Progress

FGSM_01 = FGSM(Linf(0.1))


def net(batch_norm: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        norm = [nn.BatchNorm2d(4)] if batch_norm else []
        layers = [nn.Conv2d(1, 4, 3, padding=1), *norm, nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 3)]
        return nn.Sequential(*layers).double()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(1)
    return torch.rand(8, 1, 6, 6, generator=g, dtype=torch.float64), torch.randint(3, (8,), generator=g)


def gradients(model: nn.Module, loss: Tensor) -> Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss.mean(), list(model.parameters()))])


def fgsm_by_hand(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    model.eval()
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)
    model.train()
    return (x + 0.1 * g.sign()).clamp(0, 1).detach()


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_loss_is_its_formula(batch: tuple[Tensor, Tensor], alpha: float) -> None:
    x, y = batch
    model = net(batch_norm=False)
    loss = AdversarialLoss(FGSM_01, clean_weight=alpha)(model, x, y)
    x_adv = fgsm_by_hand(model, x, y)
    expected = alpha * F.cross_entropy(model(x), y, reduction="none") + (1 - alpha) * F.cross_entropy(
        model(x_adv), y, reduction="none"
    )
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)


class Holding(nn.Module):
    """A net whose output holds its logits."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self.body(x)}


@pytest.mark.parametrize("loss", [AdversarialLoss(FGSM_01), AdversarialBatch(PGD(Linf(0.1), steps=2)), CrossEntropy()])
def test_a_net_may_return_its_logits_within_its_output(loss: Loss, batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    own = torch.arange(8)
    given, held = loss(net(False), x, y, seeds=own), loss(Holding(net(False)), x, y, seeds=own)  # type: ignore[arg-type]
    assert torch.equal(held, given)
    objective = ClassifierObjective(Holding(net(False)), loss)
    values = objective(Batch(x, y, own), Progress(0, 0, 1, 1, training=False))
    assert torch.equal(values["error"], (net(False)(x).argmax(1) != y).double())


def test_images_already_wrong_are_attacked_too(batch: tuple[Tensor, Tensor]) -> None:
    x, _ = batch
    model = net(batch_norm=False)
    wrong = (model(x).argmax(1) + 1) % 3
    loss = AdversarialLoss(FGSM_01, clean_weight=0.0)(model, x, wrong)
    assert (loss > F.cross_entropy(model(x), wrong, reduction="none") + 1e-3).all()


def test_without_batchnorm_both_defences_have_the_same_gradient(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    model = net(batch_norm=False)
    one = gradients(model, AdversarialLoss(FGSM_01, clean_weight=0.5)(model, x, y))
    other = gradients(model, AdversarialBatch(FGSM_01)(model, x, y))
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_with_batchnorm_they_differ(batch: tuple[Tensor, Tensor]) -> None:
    """Attacked images are the same for both; the batch statistics are not."""
    x, y = batch
    models = [net(batch_norm=True).train() for _ in range(2)]
    one = gradients(models[0], AdversarialLoss(FGSM_01, clean_weight=0.5)(models[0], x, y))
    other = gradients(models[1], AdversarialBatch(FGSM_01)(models[1], x, y))
    assert (one - other).norm() > 1e-3 * one.norm()


@pytest.mark.parametrize(
    "defence", [kind(attack) for kind in (AdversarialLoss, AdversarialBatch) for attack in (PGD(Linf(0.1), 3), FGSM_01)]
)
def test_the_attack_leaves_modes_and_running_statistics_alone(
    batch: tuple[Tensor, Tensor], defence: AdversarialLoss | AdversarialBatch
) -> None:
    x, y = batch
    model = net(batch_norm=True).train()
    norm = model[1]
    defence(model, x, y)
    assert norm.training
    assert norm.num_batches_tracked == (2 if isinstance(defence, AdversarialLoss) else 1)


def test_the_attacked_images_carry_no_gradient(batch: tuple[Tensor, Tensor]) -> None:
    """The perturbation is a constant of the loss: scaling it by a parameter-dependent amount would show here."""
    x, y = batch
    model = net(batch_norm=False)
    x_adv = fgsm_by_hand(model, x, y)
    expected = gradients(model, F.cross_entropy(model(x_adv), y, reduction="none"))
    found = gradients(model, AdversarialLoss(FGSM_01, clean_weight=0.0)(model, x, y))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_every_attack_goes_for_the_greatest_loss(batch: tuple[Tensor, Tensor]) -> None:
    """An attack that can stop early is told not to."""
    x, y = batch
    asked: list[bool] = []

    @dataclasses.dataclass(frozen=True)
    class Spy:
        leave_early: bool = True
        norm: str = "linf"
        radius: float = 0.1

        def part(self, index: Tensor) -> "Spy":
            return self

        def thorough(self) -> "Spy":
            return Spy(leave_early=False)

        def __call__(self, model: nn.Module, images: Tensor, labels: Tensor, **seeds: Tensor) -> Attacked:
            asked.append(self.leave_early)
            return RandomNoise(Linf(0.1))(model, images, labels, **seeds)

    attacks: tuple[Attack, ...] = (
        Spy(),
        Restarts(Spy(), 1),
        WorstCase((Spy(),)),
        Transfer(net(batch_norm=False), Spy()),
    )
    for attack in attacks:
        AdversarialLoss(attack)(net(batch_norm=False), x, y)
    assert asked == [False] * 4


def test_noise_is_the_examples_own_or_the_generators(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    model = net(batch_norm=False)
    defence = AdversarialLoss(PGD(Linf(0.1), steps=1, step_size=0.01), clean_weight=0.0)
    seeds = torch.arange(8)
    whole = defence(model, x, y, seeds=seeds)
    torch.testing.assert_close(whole[3:5], defence(model, x[3:5], y[3:5], seeds=seeds[3:5]))
    first, again = (defence(model, x, y, torch.Generator().manual_seed(s)) for s in (0, 0))
    assert torch.equal(first, again)
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        assert not torch.equal(defence(model, x, y), defence(model, x, y)), "every batch has noise of its own"


def test_label_smoothing_is_torchs(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    model = net(batch_norm=False)
    loss = AdversarialLoss(FGSM_01, clean_weight=1.0, label_smoothing=0.1)(model, x, y)
    torch.testing.assert_close(loss, F.cross_entropy(model(x), y, reduction="none", label_smoothing=0.1))
    half = AdversarialBatch(FGSM_01, label_smoothing=0.1)(model, x, y)
    both = AdversarialLoss(FGSM_01, clean_weight=0.5, label_smoothing=0.1)(model, x, y)
    torch.testing.assert_close(half, both)


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: AdversarialLoss(FGSM_01, clean_weight=1.5), "clean_weight is 1.5"),
        (lambda: AdversarialLoss(FGSM_01, label_smoothing=1.0), "label_smoothing is 1.0"),
        (lambda: AdversarialBatch(FGSM_01, label_smoothing=-0.1), "label_smoothing is -0.1"),
    ],
)
def test_wrong_settings(make: object, names: str) -> None:
    with pytest.raises(UserError, match=names):
        make()  # type: ignore[operator]


class Counted(nn.Module):
    """A net that counts its forward passes and the images in them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net(batch_norm=False)
        self.passes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.passes.append(len(x))
        logits: Tensor = self.body(x)
        return logits


@pytest.mark.parametrize(
    ("defence", "passes"),
    [
        (AdversarialBatch(FGSM_01), [8, 16]),
        (AdversarialLoss(FGSM_01, clean_weight=0.0), [8, 8]),
        (AdversarialLoss(FGSM_01), [8, 8, 8]),
    ],
)
def test_an_fgsm_step_asks_the_model_once_for_the_gradient_and_once_for_each_loss(
    batch: tuple[Tensor, Tensor], defence: AdversarialLoss | AdversarialBatch, passes: list[int]
) -> None:
    """Two passes; one more where the clean loss has a pass of its own. The error of a training step takes none."""
    x, y = batch
    model = Counted()
    defence(model, x, y)
    assert model.passes == passes
    if not (isinstance(defence, AdversarialLoss) and defence.clean_weight == 0):
        model.passes.clear()
        values = ClassifierObjective(model, defence)(Batch(x, y, torch.arange(8)), Progress(0, 0, 1, 1, True))
        assert model.passes == passes
        assert torch.equal(values["error"], (model(x).argmax(1) != y).to(x.dtype))


@pytest.mark.parametrize("ball", [Linf(0.1), L2(0.5), L1(1.0), Linf(torch.linspace(0.01, 0.2, 8))])
def test_the_step_is_the_attacks_own_point(batch: tuple[Tensor, Tensor], ball: Ball) -> None:
    """As FGSM itself returns it where the loss rises, in the ball and the box, also for pixels at 0 and 1."""
    x, y = batch
    x = x.sub(0.5).mul(2).add(0.5).clamp(0, 1)
    model = net(batch_norm=False)
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    AdversarialLoss(FGSM(ball), clean_weight=0.0)(model, x, y)
    x_adv = seen[-1]
    attacked = FGSM(ball).thorough()(model, x, y).images
    risen = F.cross_entropy(model(x_adv), y, reduction="none") > F.cross_entropy(model(x), y, reduction="none")
    assert risen.sum() >= 6
    torch.testing.assert_close(x_adv[risen], attacked[risen], rtol=1e-9, atol=1e-9)
    assert (ball.distance(x_adv, x) <= torch.as_tensor(ball.radius, dtype=torch.float64) + 1e-12).all()
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1


def test_fgsm_training_gives_the_model_back_and_refuses_what_cannot_be_attacked(batch: tuple[Tensor, Tensor]) -> None:
    x, y = batch
    model = net(batch_norm=True).train()
    model[1].eval()
    frozen = model[0].weight.requires_grad_(False)
    before = [p.grad for p in model.parameters()]
    with torch.no_grad():
        AdversarialLoss(FGSM_01)(model, x, y)
    assert (model.training, model[1].training, frozen.requires_grad) == (True, False, False)
    assert all(p.requires_grad for p in model.parameters() if p is not frozen)
    assert [p.grad for p in model.parameters()] == before
    with pytest.raises(UserError, match=r"must lie in \[0, 1\]"):
        AdversarialLoss(FGSM_01)(model, x + 1, y)
    with pytest.raises(UserError, match="labels must lie in"):
        AdversarialLoss(FGSM_01)(model, x, y + 3)
    constant = AdversarialLoss(FGSM_01)(lambda images: torch.zeros(len(images), 3).double(), x, y)
    torch.testing.assert_close(constant, torch.full((8,), math.log(3), dtype=torch.float64))


class Draws(nn.Module):
    """A classifier that draws; it notes the counters it is asked with."""

    def __init__(self) -> None:
        super().__init__()
        self.body = net(batch_norm=False)
        self.counters: list[int] = []

    def forward(self, x: Tensor, *, seeds: Tensor | None = None, counter: int = 0) -> Tensor:
        if seeds is not None:
            self.counters.append(counter)
            x = x + 0.1 * noise(seeds, counter, tuple(x.shape[1:]), x.dtype)
        logits: Tensor = self.body(x)
        return logits


@pytest.mark.parametrize("draws", [1, 3])
def test_the_gradient_of_a_classifier_that_draws_is_taken_at_the_examples_own_draws(
    batch: tuple[Tensor, Tensor], draws: int
) -> None:
    x, y = batch
    model = Draws()
    AdversarialLoss(FGSM(Linf(0.1), model_draws=draws), clean_weight=0.0)(model, x, y, seeds=torch.arange(8))
    assert set(range(draws)) <= set(model.counters)
    assert len(model.counters) == 1 or draws > 1
