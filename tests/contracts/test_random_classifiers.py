"""A classifier that draws noise of its own gives an example the same answers wherever it sits."""

import pytest
import torch
from torch import Tensor, nn

from epslab.attacks import APGD, PGD, Attack, Attacked, cross_entropy
from epslab.attacks.attacked import Given
from epslab.attacks.victim import asking
from epslab.geometry import Linf
from epslab.seeds import noise

from .attacks import Case
from .models import classifier, images

N = 8
SEEDS = torch.arange(N) * 1000 + 7


class Smoothed(nn.Module):
    """Noise in the pixels, a function of seeds and counter; it remembers what it was handed."""

    def __init__(self, std: float = 0.02) -> None:
        super().__init__()
        self.net = classifier(dtype=torch.float64)
        self.std = std
        self.handed: list[tuple[Tensor, int]] = []

    def forward(self, x: Tensor, *, seeds: Tensor | None = None, counter: int = 0) -> Tensor:
        assert seeds is not None
        assert seeds.shape == (len(x),)
        self.handed.append((seeds.clone(), counter))
        return self.net(x + self.std * noise(seeds, counter, tuple(x.shape[1:]), x.dtype))  # type: ignore[no-any-return]


def task() -> tuple[Tensor, Tensor]:
    x = images(N, dtype=torch.float64)
    return x, classifier(dtype=torch.float64)(x).argmax(1)


def assert_alike(one: Attacked, other: Attacked) -> None:
    for ours, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=0.0)


def test_the_same_alone_in_any_batch_in_any_order_and_once_more(case: Case) -> None:
    x, y = task()
    model = Smoothed()
    state = torch.get_rng_state()
    whole = case.attack(model, x, y, seeds=SEEDS)
    assert_alike(case.attack(Smoothed(), x, y, seeds=SEEDS), whole)  # as after a resume
    for index in [torch.tensor([6, 1, 4]), torch.arange(N).flip(0), *torch.arange(N)[:, None]]:
        part = case.attack.part(index)(model, x[index], y[index], seeds=SEEDS[index])
        assert_alike(part, Attacked(*[values[index] for values in whole]))
    assert torch.equal(torch.get_rng_state(), state)


def test_every_query_meets_other_noise(case: Case) -> None:
    x, y = task()
    model = Smoothed()
    case.attack(model, x, y, seeds=SEEDS)
    met = torch.cat([seeds * 100 + counter for seeds, counter in model.handed])
    if case.exact_counts:  # composites ask again with the seeds of their parts
        assert len(met.unique()) == len(met)


def test_a_plain_callable_is_handed_nothing(case: Case) -> None:
    x, y = task()
    net = classifier(dtype=torch.float64)

    def plain(points: Tensor, **rest: object) -> Tensor:
        assert not rest
        return net(points)  # type: ignore[no-any-return]

    case.attack(plain, x, y, seeds=SEEDS)


@pytest.mark.parametrize(
    "make", [lambda k: PGD(Linf(0.01), 1, model_draws=k), lambda k: APGD(Linf(0.01), 1, targets=0, model_draws=k)]
)
def test_the_expectation_over_noise_is_a_loop_over_counters(make: object) -> None:
    """Each gradient is taken at counters 0..k−1 of the same seeds, and all of them are counted."""
    x, y = task()
    attack: Attack = make(3).thorough()  # type: ignore[operator]
    model = Smoothed()
    found = attack(model, x, y, seeds=SEEDS)
    assert [counter for _, counter in model.handed[:3]] == [0, 1, 2]
    assert torch.equal(model.handed[0][0], model.handed[2][0])
    assert (found.gradients == 3).all()
    assert (found.queries == 6).all()


def test_the_mean_gradient_is_the_mean_over_the_draws() -> None:
    """One step from the image in float64: the sign of the mean of five gradients, taken here by hand."""
    x, y = task()
    model = Smoothed(std=0.3)
    attack = PGD(Linf(0.01), 1, random_start=False, model_draws=5, leave_early=False)
    found = attack(model, x, y, seeds=SEEDS)
    own = model.handed[0][0]
    total = torch.zeros_like(x)
    for counter in range(5):
        at = x.clone().requires_grad_()
        loss = nn.functional.cross_entropy(Smoothed(std=0.3)(at, seeds=own, counter=counter), y, reduction="sum")
        total += torch.autograd.grad(loss, at)[0]
    expected = (x + 0.01 * total.sign()).clamp(0, 1)
    moved = (found.images != x).flatten(1).any(1)
    assert moved.any()
    torch.testing.assert_close(found.images[moved], expected[moved], atol=1e-12, rtol=0.0)


def test_an_answer_is_the_mean_over_the_draws() -> None:
    """Logits, what is to rise, and its gradient; another query meets other noise."""
    x, y = task()
    model = Smoothed(std=0.3)
    index = torch.arange(len(x))

    def by_hand(own: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.stack([Smoothed(std=0.3)(points, seeds=own, counter=counter) for counter in range(3)])
        return logits.mean(0), torch.stack([cross_entropy(one, y) for one in logits]).mean(0)

    with asking(Given(model, x, y, None, SEEDS), draws=3) as victim:
        asked = victim.ask(x, index)
        logits, value, gradient = victim.differentiate(x, index, lambda z: cross_entropy(z, y))
        assert victim.queries.tolist() == [6] * len(x)
        assert victim.gradients.tolist() == [3] * len(x)
    exact = {"atol": 1e-12, "rtol": 0.0}
    torch.testing.assert_close(asked, by_hand(model.handed[0][0], x)[0], **exact)
    at = x.clone().requires_grad_()
    means, loss = by_hand(model.handed[3][0], at)
    torch.testing.assert_close((logits, value), (means.detach(), loss.detach()), **exact)
    torch.testing.assert_close(gradient, torch.autograd.grad(loss.sum(), at)[0], **exact)


def test_a_lucky_draw_is_not_a_success_until_another_draw_confirms_it() -> None:
    """Half of the draws say another class: about a quarter of the queries, not half, end an example's search."""

    def fickle(x: Tensor, *, seeds: Tensor | None = None, counter: int = 0) -> Tensor:
        assert seeds is not None
        z = noise(seeds, counter, (1,), x.dtype)
        return torch.cat([0.0 * z, z + 0.0 * x.sum((1, 2, 3))[:, None]], 1)

    n = 400
    x, y = torch.full((n, 1, 1, 1), 0.5, dtype=torch.float64), torch.zeros(n, dtype=torch.int64)
    found = PGD(Linf(0.1), steps=1)(fickle, x, y, seeds=torch.arange(n))
    wrong_at_once = (found.gradients == 0).sum().item()
    assert abs(wrong_at_once - n / 2) < 4 * (n / 4) ** 0.5
    asked_twice = (found.queries[found.gradients > 0] == 3).sum().item()
    assert asked_twice > 0
