import math

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn

from epslab.generative.vae import VAE
from epslab.probability.likelihoods import Normal
from epslab.report import StudyResult
from epslab.studies.distributions import normals, normals_numerically, uniforms, uniforms_numerically
from epslab.studies.divergences import SHIFTS, landings

LN_2 = math.log(2)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0, 4.0])
@pytest.mark.parametrize("std", [1.0, 1.5, 2.0])
def test_closed_forms_of_normal_laws_agree_with_integration(shift: float, std: float) -> None:
    closed, numeric = normals(shift, std), normals_numerically(shift, std)
    for name in ("KL(p‖q)", "KL(q‖p)", "Jeffreys", "Jensen–Shannon"):
        assert numeric[name] == pytest.approx(closed[name], abs=1e-9)
    assert numeric["Wasserstein-1"] == pytest.approx(closed["Wasserstein-1"], abs=1e-4)


@pytest.mark.parametrize("shift", [0.3, 4.0])
def test_closed_forms_of_normal_laws_agree_with_scipy(shift: float) -> None:
    p, q = norm(0, 1), norm(shift, 2)
    closed = normals(shift)

    def integral(f):
        return quad(f, -16, 24, epsabs=1e-12, limit=200)[0]

    assert integral(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x))) == pytest.approx(closed["KL(p‖q)"], abs=1e-9)
    assert integral(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x))) == pytest.approx(closed["KL(q‖p)"], abs=1e-9)
    assert integral(lambda x: abs(p.cdf(x) - q.cdf(x))) == pytest.approx(closed["Wasserstein-1"], abs=1e-8)
    assert closed["Jeffreys"] == closed["KL(p‖q)"] + closed["KL(q‖p)"]


@pytest.mark.parametrize("shift", SHIFTS)
def test_uniform_laws_lose_their_common_support(shift: float) -> None:
    numeric, closed = uniforms_numerically(shift), uniforms(shift)
    assert numeric["KL(p‖q)"] == numeric["KL(q‖p)"] == numeric["Jeffreys"] == (math.inf if shift else 0.0)
    assert numeric["Wasserstein-1"] == pytest.approx(shift, abs=1e-12)
    assert numeric["Jensen–Shannon"] == pytest.approx(min(shift, 1) * LN_2, abs=1e-12)
    assert closed == pytest.approx(numeric, abs=1e-12)


class _Blind(nn.Module):
    """An encoder that answers with one normal law, and a decoder that ignores z."""

    def __init__(self, mean: float, log_std: float) -> None:
        super().__init__()
        self.law = mean, log_std

    def forward(self, given: torch.Tensor):
        if given.ndim == 4:
            return tuple(torch.full((len(given), 3), value) for value in self.law)
        return torch.zeros(len(given), 1, 2, 2)


@pytest.mark.parametrize(("mean", "log_std", "inside"), [(0.0, 0.0, 0.95), (50.0, 0.0, 0.0)])
def test_every_draw_counts_where_the_posterior_is_the_prior(mean: float, log_std: float, inside: float) -> None:
    net = _Blind(mean, log_std)
    vae = VAE(net, net, Normal(1.0))
    vae._latent_dim = 3
    effective, share = landings(vae, torch.rand(4, 1, 2, 2), draws=700, tries=20_000)
    torch.testing.assert_close(effective, torch.full_like(effective, 700.0))
    error = 4 * math.sqrt(inside * (1 - inside) / 20_000)
    assert ((share - inside).abs() <= error + 1e-12).all()


def test_the_study_shows_it(results: dict[str, StudyResult]) -> None:
    line, bell, landed = results["divergences"].tables
    for shift, common, kl, jeffreys, js, w1 in line.rows:
        assert common == max(0.0, 1 - shift)
        assert kl == jeffreys == (math.inf if shift else 0.0)
        assert js <= 1 + 1e-12
        assert w1 == pytest.approx(shift, abs=1e-12)
    for shift, forward, reverse, jeffreys, js, w1 in bell.rows:
        assert jeffreys == pytest.approx(forward + reverse)
        assert js < LN_2
        assert w1 >= shift - 1e-4
    (_, few, wide), (_, fewer, narrow) = landed.rows
    assert 1 <= fewer < few <= 1000
    assert narrow < wide
    answer = results["divergences"].answer
    assert "infinite from the first step, s=0.125" in answer
    assert "reaches ln 2 = 0.693 at s=1" in answer
    assert "Wasserstein-1 is s, exactly" in answer
