"""The diffusion model on data whose law is known: noise, predictions, objective, samples."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.diffusion import Diffusion, DiffusionObjective
from epslab.generative.diffusion.sampling import SAMPLERS
from epslab.nets import TimePerceptron, UNet
from epslab.probability.schedules import Schedule, cosine, linear
from epslab.types import Batch, Progress

NOW = Progress(0, 0, 1, 1, True)


def exact(schedule: Schedule, variance: float, predicts: str) -> Callable[[Tensor, Tensor], Tensor]:
    """What the best net predicts for data N(0, variance): by its joint law with x_t, between whole times too."""
    levels = schedule.alpha_bar

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        below = t.floor().long() if t.is_floating_point() else t
        above = (below + 1).clamp(max=len(levels) - 1)
        share = (t - below).double() if t.is_floating_point() else torch.zeros(len(t), dtype=torch.float64)
        # As the samplers interpolate: in the logarithm of sigma.
        log_sigma = (1 - share) * schedule.sigma[below].log() + share * schedule.sigma[above].log()
        a = (1 / (1 + (2 * log_sigma).exp())).view(-1, *[1] * (x_t.ndim - 1)).to(x_t.dtype)
        total = a * variance + 1 - a
        noise, image = (1 - a).sqrt() / total * x_t, a.sqrt() * variance / total * x_t
        return {"noise": noise, "v": a.sqrt() * noise - (1 - a).sqrt() * image, "image": image}[predicts]

    return predict


def test_noise_is_added_by_the_product_of_alpha() -> None:
    """The trap: α_t for ᾱ_t would leave nearly all of the image at any time."""
    schedule = linear(1000)
    model = Diffusion(lambda x, t: x, schedule, (2,)).double()
    x_0 = torch.full((20_000, 2), 3.0, dtype=torch.float64)
    eps = torch.randn(20_000, 2, generator=seeds.generator(0, "eps"), dtype=torch.float64)
    for t in (0, 300, 999):
        x_t = model.noisy(x_0, torch.full((20_000,), t), eps)
        alpha_bar = math.prod((1 - schedule.beta[: t + 1]).tolist())
        assert abs(x_t.mean() - 3 * math.sqrt(alpha_bar)) < 4 * math.sqrt((1 - alpha_bar) / 40_000) + 1e-12
        assert abs(x_t.var() / (1 - alpha_bar) - 1) < 4 * math.sqrt(2 / 40_000)


@pytest.mark.parametrize("predicts", ["noise", "v", "image"])
@pytest.mark.parametrize("schedule", [linear(100), cosine(100)])
def test_the_best_net_has_the_loss_that_cannot_be_lowered(schedule: Schedule, predicts: str) -> None:
    """Of data N(0, s²): the mean over times of the variance that x_t leaves in what is predicted."""
    s2, n = 0.49, 20_000
    model = Diffusion(exact(schedule, s2, predicts), schedule, (2,), predicts).double()  # type: ignore[arg-type]
    x = 0.7 * torch.randn(n, 2, generator=seeds.generator(0, "x"), dtype=torch.float64)
    batch = Batch(x, torch.zeros(n, dtype=torch.int64), torch.arange(n))
    loss = DiffusionObjective(model)(batch, NOW)["loss"]
    a = schedule.alpha_bar
    left = s2 * (1 - a) / (a * s2 + 1 - a)  # of the image
    share = {"noise": a / (1 - a), "v": 1 / (1 - a), "image": 1}[predicts]
    wanted = 2 * float((left * share).mean())
    assert abs(loss.mean() - wanted) < 4 * loss.std() / math.sqrt(n)


@pytest.mark.parametrize("predicts", ["noise", "v", "image"])
def test_the_clean_image_is_found_from_each_prediction(predicts: str) -> None:
    model = Diffusion(exact(cosine(50), 1.0, predicts), cosine(50), (2,), predicts).double()  # type: ignore[arg-type]
    x_t, t = torch.randn(50, 2, dtype=torch.float64), torch.arange(50)
    # At the last time of this schedule √ᾱ is 3·10⁻⁴: what is divided by it loses as many digits.
    torch.testing.assert_close(model.clean(x_t, t), cosine(50).alpha_bar.sqrt()[:, None] * x_t, rtol=0, atol=1e-9)


def test_time_and_noise_are_the_examples_own() -> None:
    """The same example with the same seed in any batch; other seeds, other noise; and all times come."""
    seen: list[Tensor] = []

    def net(x_t: Tensor, t: Tensor) -> Tensor:
        seen.append(t)
        return 0 * x_t

    model = Diffusion(net, linear(10), (2,))
    x = torch.randn(2000, 2)
    batch = Batch(x, torch.zeros(2000, dtype=torch.int64), torch.arange(2000))
    whole = DiffusionObjective(model)(batch, NOW)["loss"]
    part = DiffusionObjective(model)(Batch(x[7:9], batch.labels[7:9], batch.seeds[7:9]), NOW)["loss"]
    assert torch.equal(part, whole[7:9])
    counts = seen[0].bincount(minlength=10)
    assert len(counts) == 10
    assert (abs(counts - 200) < 4 * math.sqrt(200)).all()


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samples_of_a_model_that_knows_its_data_follow_their_law(sampler: str) -> None:
    """Points N(3, 2²), which the model sees standardised; every sampler gives back mean and variance."""
    schedule = linear(100)
    model = Diffusion(exact(schedule, 1.0, "v"), schedule, (2,), "v").double()
    model.standardise(torch.tensor([[1.0, 1.0], [5.0, 5.0]]))
    n = 2000
    x = model.sample(n, seeds.generator(0, "x"), sampler=sampler, steps=100 if sampler == "ancestral" else 50)
    assert abs(x.mean() - 3) < 4 * 2 / math.sqrt(2 * n)
    assert abs(x.var() / 4 - 1) < 4 * math.sqrt(2 / (2 * n)) + 0.1  # the second is for the error of 50 steps
    assert abs(torch.corrcoef(x.T)[0, 1]) < 4 / math.sqrt(n)


def test_images_are_seen_in_minus_one_to_one_and_come_back_in_zero_to_one() -> None:
    model = Diffusion(lambda x, t: 0 * x, linear(10), (1, 4, 4), "image")
    x = torch.rand(3, 1, 4, 4)
    torch.testing.assert_close(model.inwards(x), 2 * x - 1)
    torch.testing.assert_close(model.outwards(2 * x - 1), x)
    assert torch.equal(model.sample(2), torch.full((2, 1, 4, 4), 0.5))  # what a net says that always sees grey
    wild = Diffusion(lambda x, t: 0 * x + 7, linear(10), (1, 4, 4), "image").sample(2)
    assert torch.equal(wild, torch.ones(2, 1, 4, 4))


def test_the_estimate_of_an_image_is_clamped_that_of_a_point_is_not() -> None:
    far, t = torch.full((1, 1, 4, 4), 5.0), torch.zeros(1, dtype=torch.int64)
    assert Diffusion(lambda x, t: x, linear(10), (1, 4, 4), "image").clean(far, t).max() == 1
    assert Diffusion(lambda x, t: x, linear(10), (2,), "image").clean(torch.full((1, 2), 5.0), t).max() == 5


def test_scale_and_centre_are_saved_with_the_weights() -> None:
    model = Diffusion(TimePerceptron(2, 8), linear(10), (2,))
    points = torch.randn(100, 2) * 3 + 5
    model.standardise(points)
    standard = model.inwards(points)
    assert abs(standard.mean()) < 1e-5
    assert abs(standard.std(correction=0) - 1) < 1e-5
    other = Diffusion(TimePerceptron(2, 8), linear(10), (2,))
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.sample(3, seeds.generator(0, "x")), model.sample(3, seeds.generator(0, "x")))
    model.standardise(torch.zeros(5, 2))  # points that are all the same leave a scale to divide by
    assert model.inwards(torch.zeros(1, 2)).isfinite().all()


def test_many_samples_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def net(x_t: Tensor, t: Tensor) -> Tensor:
        sizes.append(len(x_t))
        return 0.1 * x_t

    model = Diffusion(net, linear(10), (2,))
    whole = model.sample(11, seeds.generator(0, "x"), steps=2)
    monkeypatch.setattr("epslab.generative.diffusion.model._AT_ONCE", 4)
    sizes.clear()
    assert torch.equal(model.sample(11, seeds.generator(0, "x"), steps=2), whole)
    assert sizes == [4, 4, 4, 4, 3, 3]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_half_precision_model_computes_noise_and_losses_in_float32(dtype: torch.dtype) -> None:
    """√(1 − ᾱ_0) = 0.0064 beside 1 is lost in half precision; the net alone works in it."""
    model = Diffusion(UNet((1, 4, 4), 4), cosine(1000), (1, 4, 4)).to(dtype)
    x = torch.rand(4, 1, 4, 4)
    batch = Batch(x.to(dtype), torch.zeros(4, dtype=torch.int64), torch.arange(4))
    loss = DiffusionObjective(model)(batch, NOW)["loss"]
    assert loss.dtype == torch.float32
    eps = seeds.noise(torch.arange(4), 1, (1, 4, 4))
    torch.testing.assert_close(loss, eps.square().flatten(1).sum(1))  # the untrained net gives 0
    assert model.bound(x.to(dtype), draws=2, seeds=torch.arange(4)).dtype == torch.float32
    assert model.sample(2, steps=2).dtype == dtype


class Halved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        found: Tensor = self.layer(x_t)
        return found


def test_under_autocast_the_loss_is_float32() -> None:
    model = Diffusion(Halved(), linear(10), (2,))
    batch = Batch(torch.randn(3, 2), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    with torch.autocast("cpu", torch.bfloat16):
        assert DiffusionObjective(model)(batch, NOW)["loss"].dtype == torch.float32


def test_what_cannot_work_is_refused() -> None:
    def net(x: Tensor, t: Tensor) -> Tensor:
        return x

    with pytest.raises(UserError, match="Unknown prediction 'nois'"):
        Diffusion(net, linear(5), (2,), "nois")
    with pytest.raises(UserError, match=r"The shape is \(2, 3\)"):
        Diffusion(net, linear(5), (2, 3))
    with pytest.raises(UserError, match="levels is 1"):
        Diffusion(net, linear(5), (1, 4, 4), levels=1)
    model = Diffusion(net, linear(5), (2,))
    with pytest.raises(UserError, match="Unknown sampler 'dim'"):
        model.sample(1, sampler="dim")
    with pytest.raises(UserError, match="5 times can be sampled in 1 to 5 steps, not in 6"):
        model.sample(1, steps=6)
    with pytest.raises(UserError, match="eta"):
        model.sample(1, sampler="heun", eta=0.5)
    with pytest.raises(UserError, match=r"shape \(2,\), but was given \(3,\)"):
        model.inwards(torch.zeros(1, 3))
    with pytest.raises(UserError, match="flow"):
        DiffusionObjective(Diffusion(net, linear(5), (2,), "flow"))
