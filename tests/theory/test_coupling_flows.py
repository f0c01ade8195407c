"""Coupling flows against calculus: determinants by autograd, inverses, densities that integrate to 1, true bounds."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from epslab import seeds
from epslab.errors import UserError
from epslab.generative.flows.coupling import AffineCoupling, Checkerboard, Halves
from epslab.generative.flows.coupling_flow import CouplingFlow, scales_of
from epslab.generative.flows.equalise import Equalise, levels_of
from epslab.generative.flows.mixing import Mixing
from epslab.generative.flows.multiscale import layers_of
from epslab.generative.flows.standardise import Standardise
from epslab.nets.conditioner import ConvConditioner

SHAPES = [(2,), (3,), (1, 4, 4), (1, 8, 4), (1, 5, 5), (1, 2, 3), (3, 3, 5), (2, 6, 4)]


def shaken(module: nn.Module, by: float = 0.2) -> nn.Module:
    """In float64, with every weight moved: nothing is the identity any more."""
    g = seeds.generator(0, "shaken")
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=g, dtype=torch.float64))
    return module


def flow(shape: tuple[int, ...], levels: int = 4, by: float = 0.2, **options: object) -> CouplingFlow:
    with seeds.seeded(0, "flow"):
        made = CouplingFlow(shape, levels, **{"steps": 2, "width": 6, **options})  # type: ignore[arg-type]
    return shaken(made, by)  # type: ignore[return-value]


def values(shape: tuple[int, ...], n: int = 3) -> Tensor:
    return torch.rand(n, *shape, generator=seeds.generator(0, "values"), dtype=torch.float64)


def assert_exact(layer: nn.Module, x: Tensor) -> None:
    """The log-determinant is that of autograd's Jacobian, and the inverse undoes the map."""
    z, log_det = layer(x)
    assert log_det.shape == (len(x),)
    for i in range(len(x)):
        matrix = jacobian(lambda one: layer(one[None])[0].flatten(), x[i]).reshape(x[i].numel(), -1)
        exact = torch.linalg.slogdet(matrix).logabsdet
        torch.testing.assert_close(log_det[i], exact, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(layer.inverse(z), x, rtol=0, atol=1e-10)  # type: ignore[operator]
    assert (z.reshape(x.shape) - x).abs().max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_flows_log_determinant_is_that_of_its_jacobian(shape: tuple[int, ...]) -> None:
    assert_exact(flow(shape), values(shape))


def test_every_layers_log_determinant_is_that_of_its_jacobian() -> None:
    x = values((3, 3, 5))
    assert_exact(shaken(Mixing(3)), x)
    assert_exact(shaken(Mixing(4)), values((4,)))
    assert_exact(shaken(Standardise(4)), values((4,)))
    for split in (Halves(3), Checkerboard(3, 0), Checkerboard(3, 1)):
        net = ConvConditioner(split.kept, 2 * split.changed, (3, 5), 6)
        assert_exact(shaken(AffineCoupling(split, net)), x)


def test_a_coupling_keeps_one_part_and_no_scale_runs_away() -> None:
    for split in (Halves(2), Checkerboard(2, 0), Checkerboard(2, 1)):
        net = shaken(ConvConditioner(split.kept, 2 * split.changed, (4, 4), 6), by=50.0)
        x = values((2, 4, 4))
        z, log_det = AffineCoupling(split, net).double()(x)
        torch.testing.assert_close(split.apart(z)[0], split.apart(x)[0], rtol=0, atol=0)
        assert log_det.abs().max() <= 2 * 16
        torch.testing.assert_close(split.together(*split.apart(x)), x, rtol=0, atol=0)


def test_every_pixel_is_changed_by_some_step() -> None:
    """Also where there is one channel that cannot be split, and sides that cannot be halved."""
    for shape in ((1, 5, 5), (3, 5, 5), (2,)):
        x = values(shape)
        z = x
        for layer in layers_of(shape, 2, 6):
            z, _ = shaken(layer)(z)
        assert ((z - x).abs() > 1e-6).all()


def test_the_number_of_scales_follows_the_sides() -> None:
    sides = {(1, 28, 28): 2, (1, 8, 8): 2, (3, 32, 32): 3, (3, 256, 256): 3, (1, 5, 8): 1, (1, 6, 6): 1, (1, 2, 2): 1}
    assert {shape: scales_of(shape) for shape in sides} == sides


def test_a_density_of_points_integrates_to_1() -> None:
    model = flow((2,), steps=3)
    side = torch.linspace(-12, 12, 801, dtype=torch.float64)
    with torch.no_grad():
        density = model.log_prob(torch.cartesian_prod(side, side)).exp()
    assert density.sum().item() * (24 / 800) ** 2 == pytest.approx(1, abs=1e-6)
    assert density.max() > 3 * density.median()


def test_points_are_drawn_from_their_density() -> None:
    """E[x] and E[x xᵀ] of samples are the integrals over the density, within 4 standard errors."""
    model = flow((2,), steps=3)
    side = torch.linspace(-12, 12, 601, dtype=torch.float64)
    x = torch.cartesian_prod(side, side)
    with torch.no_grad():
        weight = model.log_prob(x).exp() * (24 / 600) ** 2
    drawn = model.sample(20_000, seeds.generator(1, "x"))
    for moment in (lambda v: v, lambda v: v.square(), lambda v: v[:, :1] * v[:, 1:]):
        exact = (moment(x) * weight[:, None]).sum(0)
        found = moment(drawn)
        assert ((found.mean(0) - exact).abs() < 4 * found.std(0) / math.sqrt(len(drawn))).all()


@pytest.mark.parametrize("dequantisation", ["uniform", "variational"])
@pytest.mark.parametrize("levels", [2, 3, 256])
def test_a_uniform_density_costs_log2_of_the_levels(dequantisation: str, levels: int) -> None:
    """The first layer alone, with equal frequencies: exactly log2 K bits for each pixel, 0 and 1 among them."""
    model = CouplingFlow((1, 3, 4), levels, dequantisation=dequantisation).double()
    model.body = Flat()
    x = values((1, 3, 4))
    x[0], x[1] = 0.0, 1.0
    bits = -model.bound(x, seeds=torch.arange(3)) / (12 * math.log(2))
    torch.testing.assert_close(bits, torch.full((3,), math.log2(levels), dtype=torch.float64), rtol=1e-10, atol=1e-10)
    assert model.log_prob(x).abs().max() < 1e-10


class Flat(nn.Module):
    """No flow: the numbers themselves."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flatten(1), x.new_zeros(len(x))


@pytest.mark.parametrize("dequantisation", ["uniform", "variational"])
@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 3, 2)], ids=str)
def test_probabilities_of_all_images_add_up_to_1(dequantisation: str, shape: tuple[int, ...]) -> None:
    """exp of the weights averages to P(k) exactly, whatever noise is drawn; and the bound is below its logarithm."""
    model, draws = flow(shape, levels=2, by=0.06, dequantisation=dequantisation), 1000
    k = torch.tensor([*product((0.0, 1.0), repeat=math.prod(shape))], dtype=torch.float64).view(-1, *shape)
    own = seeds.draw(draws * len(k), seeds.generator(2, "k"))
    with torch.no_grad():
        log_w = model.log_weights(k.repeat(draws, 1, 1, 1), 1, seeds=own).view(draws, len(k))
    w = log_w.exp()
    error = (w.var(0) / draws).sum().sqrt()
    assert abs(w.mean(0).sum() - 1) < 4 * error
    assert error < 0.02
    assert (log_w.mean(0) < w.mean(0).log()).all()  # Jensen, strictly: the weights differ
    assert w.mean(0).max() > 1.2 * w.mean(0).min()


def test_a_bound_is_the_mean_over_its_draws() -> None:
    model, x, own = flow((1, 2, 2)), values((1, 2, 2)), torch.arange(3)
    log_w = model.log_weights(x, 3, seeds=own)
    assert log_w.std(0).min() > 1e-3
    torch.testing.assert_close(model.bound(x, 3, seeds=own), log_w.mean(0))
    torch.testing.assert_close(model.log_weights(x, 1, seeds=own, first=2)[0], log_w[2])


def test_a_trained_dequantiser_tightens_the_bound() -> None:
    """A few steps on the noise alone, with the density fixed: the same P(k), a greater bound."""
    model = flow((1, 2, 2), levels=2, dequantisation="variational")
    k = torch.tensor([*product((0.0, 1.0), repeat=4)], dtype=torch.float64).view(-1, 1, 2, 2)
    noise = list(model.dequantisation.parameters())  # type: ignore[attr-defined]
    adam = torch.optim.Adam(noise, lr=0.02)
    k = k.repeat(20, 1, 1, 1)
    own = seeds.draw(len(k), seeds.generator(3, "k"))
    before = model.bound(k, seeds=own)
    for step in range(30):
        adam.zero_grad()
        (-model.bound(k, seeds=seeds.fork(own, step)).mean()).backward()
        adam.step()
    gain = model.bound(k, seeds=own) - before
    assert gain.mean() > 4 * gain.std() / math.sqrt(len(k))


def test_equalised_pixels_are_standard_normal() -> None:
    """Levels of unequal frequency, and noise within them: every z is normal on its own."""
    g = seeds.generator(4, "pixels")
    k = (torch.rand(40, 1, 50, 50, generator=g).pow(3) * 8).long()
    layer = Equalise(8).double()
    layer.initialise(k)
    u = torch.rand(k.shape, generator=g, dtype=torch.float64)
    z = layer(k, u)[0].flatten()
    p = torch.arange(1, 10, dtype=torch.float64) / 10
    shares = torch.stack([(z < q).double().mean() for q in torch.special.ndtri(p)])
    assert ((shares - p).abs() < 4 * (p * (1 - p) / len(z)).sqrt() + 9 / len(z)).all()
    again = layer.inverse(layer(k, u)[0])
    assert torch.equal(again[0], k)
    torch.testing.assert_close(again[1], u, rtol=0, atol=1e-9)


def test_equalising_keeps_rare_levels_at_both_ends_apart() -> None:
    """Levels of probability 1e-6 below and above: float32 would round their places to 0 and to 1."""
    layer = Equalise(3)
    with torch.no_grad():
        layer.logits.copy_(torch.tensor([1e-6, 1.0, 1e-6]).log())
    k = torch.tensor([0, 0, 0, 2, 2, 2]).view(1, 1, 2, 3)
    u = torch.tensor([0.0, 0.3, 0.999, 0.0, 0.7, 1.0]).view(1, 1, 2, 3)
    z, log_det = layer(k, u)
    assert z.isfinite().all()
    assert log_det.isfinite().all()
    assert (z.flatten().diff() > 0).all()
    exact = shaken(Equalise(3), by=0.0)
    exact.load_state_dict(layer.double().state_dict())
    torch.testing.assert_close(z.double()[..., 1], exact(k, u.double())[0][..., 1], rtol=1e-5, atol=0)


def test_levels_of_takes_values_apart() -> None:
    x = torch.tensor([0.0, 0.2, 0.25, 0.999, 1.0], dtype=torch.float64).view(1, 1, 1, 5)
    k, u = levels_of(x, 4)
    assert k.flatten().tolist() == [0, 0, 1, 3, 3]
    torch.testing.assert_close((k + u) / 4, x)


def test_a_point_set_starts_standardised() -> None:
    x = 3 + 5 * torch.randn(1000, 2, generator=seeds.generator(5, "x"), dtype=torch.float64)
    model = CouplingFlow((2,), steps=1, width=4).double()
    model.initialise(x)
    z, _ = model(x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(z.square().sum(1).mean(), torch.tensor(2.0).double(), rtol=1e-6, atol=0)
    gaussian = torch.distributions.Normal(x.mean(0), x.std(0, correction=0)).log_prob(x).sum(1)
    torch.testing.assert_close(model.log_prob(x), gaussian, rtol=1e-6, atol=1e-6)


def test_half_precision_is_for_the_nets_alone() -> None:
    """The bound of a model in bfloat16 is that of the same weights in float64, to what the nets lose."""
    model = flow((1, 4, 4), levels=16, dequantisation="variational")
    x, own = values((1, 4, 4), 6), torch.arange(6)
    half, same = (CouplingFlow((1, 4, 4), 16, 2, 6, "variational") for _ in range(2))
    half.load_state_dict(model.state_dict())
    half.to(torch.bfloat16)
    same.double().load_state_dict(half.state_dict())
    found, exact = half.bound(x.float(), seeds=own), same.bound(x, seeds=own)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=0.02, atol=0.0)
    single = same.float()
    with torch.autocast("cpu", torch.bfloat16):
        z, _ = single(x.float())
        torch.testing.assert_close(single.inverse(z), x.float(), rtol=0, atol=2e-3)
    layer = Mixing(4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x.float().view(6, 4, 2, 2))[0], layer(x.float().view(6, 4, 2, 2))[0].float())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (((1,),), "a part that stays and a part that changes; 1 has no two of them"),
        (((1, 1, 4),), "1×1×4 has no two of them"),
        (((4, 4),), "images \\(channels, height, width\\) or points \\(d,\\), not for 4×4"),
        (((1, 4, 4), 1), "between 2 and 256, not 1"),
        (((1, 4, 4), 257), "between 2 and 256, not 257"),
        (((1, 4, 4), 16, 0), "steps must be 1 or more, not 0"),
        (((1, 4, 4), 16, 1, 0), "width must be 1 or more, not 0"),
        (((1, 4, 4), 16, 1, 4, "none"), "'uniform' or 'variational', not 'none'"),
    ],
)
def test_what_cannot_be_built_is_refused(arguments: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        CouplingFlow(*arguments)  # type: ignore[arg-type]


def test_wrong_examples_are_refused() -> None:
    model = flow((1, 4, 4))
    with pytest.raises(UserError, match="built for images of 1×4×4, but was given 1×4×5"):
        model.bound(torch.rand(2, 1, 4, 5))
    with pytest.raises(UserError, match="at least 1 draw of the noise per image, not 0"):
        model.bound(torch.rand(2, 1, 4, 4), 0)
    with pytest.raises(UserError, match="points of dimension 2, but was given 3"):
        flow((2,)).log_prob(torch.rand(2, 3))
