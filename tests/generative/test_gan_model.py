"""The model, its two turns and its monitor: who is moved by what, and what a sample depends on."""

import math

import pytest
import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.data import PointSet, toys
from epslab.errors import UserError
from epslab.generative.gan import (
    GAN,
    CriticObjective,
    DiscriminatorObjective,
    GeneratorObjective,
    WassersteinGAN,
    WassersteinGeneratorObjective,
    clip_weights,
    diversity,
)
from epslab.generative.interpolation import interpolate
from epslab.nets import ConvCritic, ConvGenerator, PerceptronCritic, PerceptronGenerator
from epslab.training import Machine, Turn, fit
from epslab.types import Batch, Objective, Progress

START = Progress(epoch=0, step=0, steps_per_epoch=1, epochs=1, training=True)
SHAPES = [(1, 8, 8), (3, 5, 7), (1, 28, 28), (3, 33, 18), (1, 4, 4)]


def gan(shape: tuple[int, ...] = (2,), kind: type = GAN) -> GAN | WassersteinGAN:
    with seeds.seeded(0, "gan"):
        batch_norm = len(shape) == 3
        made: GAN | WassersteinGAN = kind(
            PerceptronGenerator(shape, 4, (8, 8), batch_norm), PerceptronCritic(shape, (8,)), latent_dim=4
        )
    return made


def batch(n: int, shape: tuple[int, ...] = (2,)) -> Batch:
    g = seeds.generator(0, "batch")
    return Batch(torch.rand(n, *shape, generator=g), torch.zeros(n, dtype=torch.int64), seeds.draw(n, g))


@pytest.mark.parametrize("shape", SHAPES)
def test_convolutions_take_any_side(shape: tuple[int, int, int]) -> None:
    with seeds.seeded(0, "conv"):
        model = GAN(ConvGenerator(shape, 4, width=4), ConvCritic(shape, width=4), latent_dim=4)
    images = model.sample(5, seeds.generator(0))
    assert images.shape == (5, *shape)
    assert images.min() >= 0
    assert images.max() <= 1
    assert model.discriminator(images).shape == (5,)
    other = (shape[0], shape[1] + 1, shape[2])
    with pytest.raises(UserError, match="was built for examples of shape"):
        model.discriminator(torch.rand(5, *other))


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_a_sample_is_its_own_and_leaves_no_trace(shape: tuple[int, ...]) -> None:
    model = gan(shape).train()
    before, state = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    ten, five = model.sample(10, seeds.generator(1)), model.sample(5, seeds.generator(1))
    torch.testing.assert_close(ten[:5], five)
    assert not torch.equal(ten[0], ten[1])
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert not ten.requires_grad


def test_the_latents_are_standard_normal() -> None:
    z = gan().sample_latents(20_000, seeds.generator(0))
    n = z.numel()
    assert abs(z.mean()) < 4 / n**0.5
    assert abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    with pytest.raises(UserError, match="at least 1 dimension"):
        GAN(nn.Identity(), nn.Identity(), latent_dim=0)


@pytest.mark.parametrize(
    "turns",
    [
        lambda: (model := gan(), DiscriminatorObjective(model), GeneratorObjective(model)),
        lambda: (model := gan(kind=WassersteinGAN), CriticObjective(model, 10.0), WassersteinGeneratorObjective(model)),
    ],
)
def test_each_turn_sends_gradients_to_its_own_net(turns: object) -> None:
    """What judges gets none through the samples; the generator's come through what judges."""
    model, judging, generating = turns()  # type: ignore[operator]
    judging(batch(6), START)["loss"].mean().backward()
    assert all(p.grad is None for p in model.generator.parameters())
    model.zero_grad()
    generating(batch(6), START)["loss"].mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.generator.parameters())


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_values_are_one_for_each_example_of_any_batch(n: int) -> None:
    """A last batch may hold a single example, which has no spread to normalise by."""
    shape = (1, 8, 8)
    plain, wasserstein = gan(shape).train(), gan(shape, WassersteinGAN).train()
    objectives: list[Objective] = [
        DiscriminatorObjective(plain),  # type: ignore[arg-type, list-item]
        GeneratorObjective(plain),  # type: ignore[arg-type]
        CriticObjective(wasserstein, 1.0),  # type: ignore[arg-type]
        WassersteinGeneratorObjective(wasserstein),  # type: ignore[arg-type]
    ]
    for objective in objectives:
        for value in objective(batch(n, shape), START).values():
            assert value.shape == (n,)
            assert value.isfinite().all()


def test_what_judges_says_the_same_of_an_example_in_any_batch() -> None:
    """In train mode, too: batch normalisation in a critic would tie the penalties of a batch together."""
    for judge, shape in ((PerceptronCritic((1, 8, 8)), (1, 8, 8)), (ConvCritic((1, 20, 20), 4), (1, 20, 20))):
        x = torch.rand(6, *shape)
        torch.testing.assert_close(judge.train()(x)[2:3], judge(x[2:3]))


def test_diversity_is_1_for_the_datas_own_law_and_0_for_a_single_sample() -> None:
    g = seeds.generator(0, "diversity")
    n = 4000
    same = diversity(torch.randn(n, 3, generator=g), torch.randn(n, 3, generator=g))
    # Two means of n distances; neighbours share a point, which at most doubles the variance of each.
    assert abs(same.mean() - 1) < 4 * 2 * same.std() / n**0.5
    half = diversity(0.5 * torch.randn(n, 3, generator=g), torch.randn(n, 3, generator=g))
    assert abs(half.mean() - 0.5) < 4 * 2 * half.std() / n**0.5
    assert (diversity(torch.ones(5, 3), torch.randn(5, 3, generator=g)) == 0).all()
    assert (diversity(torch.randn(1, 3), torch.randn(1, 3)) == 1).all()


def test_clipped_weights_stay_in_their_bounds() -> None:
    model = gan(kind=WassersteinGAN)
    assert max(p.abs().max() for p in model.critic.parameters()) > 0.01  # type: ignore[union-attr]
    optimiser = clip_weights(lambda p: torch.optim.SGD(p, lr=1.0), 0.01)(iter(model.critic.parameters()))  # type: ignore[union-attr]
    assert max(p.abs().max() for p in model.critic.parameters()) <= 0.01  # type: ignore[union-attr]
    CriticObjective(model)(batch(6), START)["loss"].mean().backward()  # type: ignore[arg-type]
    before = [p.detach().clone() for p in model.critic.parameters()]  # type: ignore[union-attr]
    optimiser.step()
    assert max(p.abs().max() for p in model.critic.parameters()) <= 0.01  # type: ignore[union-attr]
    assert any(not torch.equal(a, b) for a, b in zip(before, model.critic.parameters(), strict=True))  # type: ignore[union-attr]


def test_weights_are_clipped_in_training(tmp_path: object) -> None:
    """After every step, by ``fit`` as by a loop of one's own."""
    model = gan(kind=WassersteinGAN)
    seen: list[float] = []

    def watched(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        if progress.step > 0:
            seen.append(max(float(p.detach().abs().max()) for p in model.critic.parameters()))  # type: ignore[union-attr]
        return CriticObjective(model)(batch, progress)  # type: ignore[arg-type]

    turns = {
        "critic": Turn(watched, model.critic, clip_weights(lambda p: torch.optim.RMSprop(p, lr=0.1), 0.03)),  # type: ignore[arg-type]
        "generator": Turn(WassersteinGeneratorObjective(model), model.generator, every=2),  # type: ignore[arg-type]
    }
    points = PointSet(toys.gaussian_ring(40, generator=seeds.generator(0)))
    fit(model, turns, *points.split([30, 10], 0), out=str(tmp_path), epochs=2, batch_size=8, machine=Machine("cpu"))
    assert max(seen) == pytest.approx(0.03)


def test_a_path_is_made_of_draws_from_the_prior() -> None:
    n, d = 20_000, 3
    g = seeds.generator(0, "path")
    start, end = (torch.randn(n, d, generator=g, dtype=torch.float64) for _ in range(2))
    path = interpolate(start, end, steps=5)
    assert path.shape == (n, 5, d)
    assert torch.equal(path[:, 0], start)
    assert torch.equal(path[:, -1], end)
    for z in path.unbind(1):
        assert (torch.cov(z.T) - torch.eye(d)).abs().max() < 4 * (2 / n) ** 0.5
    torch.testing.assert_close(path[:, 2], (start + end) / math.sqrt(2))
    with pytest.raises(UserError, match="2 or more, not 1"):
        interpolate(start, end, steps=1)


def test_settings_without_meaning_are_refused() -> None:
    with pytest.raises(UserError, match="Unknown loss 'hinge'"):
        GeneratorObjective(gan(), "hinge")
    with pytest.raises(UserError, match="must be 0 or more, not -1"):
        CriticObjective(gan(kind=WassersteinGAN), -1.0)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="above 0, not 0"):
        clip_weights(torch.optim.SGD, 0.0)
