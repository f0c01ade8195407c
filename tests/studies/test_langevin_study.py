"""What the studies of autoencoders and Langevin dynamics measure with is itself held to what is exact."""

import torch
from torch import Tensor

from epslab import seeds
from epslab.generative import PCA
from epslab.generative.autoencoder import Autoencoder
from epslab.nets.codes import linear_pair
from epslab.studies.autoencoders import sine_of_largest_angle
from epslab.studies.langevin import exact_variance, settled_variance
from epslab.studies.mixtures import Mixture

CENTRES = torch.tensor([[-1.0, 0.5], [2.0, 0.0], [0.0, -1.5]], dtype=torch.float64)
WEIGHTS = (0.2, 0.5, 0.3)


def test_the_score_of_a_mixture_is_the_gradient_of_its_smoothed_density() -> None:
    x = torch.randn(20, 2, dtype=torch.float64, generator=seeds.generator(0, "x")).requires_grad_()
    sigma = torch.linspace(0.1, 3.0, 20, dtype=torch.float64)
    std = (0.4**2 + sigma**2).sqrt()

    def log_density(x: Tensor) -> Tensor:
        parts = torch.distributions.Normal(CENTRES, std[:, None, None]).log_prob(x[:, None]).sum(2)
        return (torch.tensor(WEIGHTS, dtype=torch.float64).log() + parts).logsumexp(1)

    (exact,) = torch.autograd.grad(log_density(x).sum(), x)
    torch.testing.assert_close(Mixture(CENTRES, 0.4, WEIGHTS).score(x.detach(), sigma), exact, rtol=1e-9, atol=1e-11)


def test_a_mixture_draws_its_components_by_their_weights() -> None:
    n = 20_000
    x = Mixture(10 * CENTRES.float(), 0.1, WEIGHTS).sample(n, seeds.generator(0, "mixture"))
    shares = torch.cdist(x, 10 * CENTRES.float()).argmin(1).bincount(minlength=3) / n
    weights = torch.tensor(WEIGHTS)
    assert ((shares - weights).abs() < 4 * (weights * (1 - weights) / n).sqrt()).all()


def test_the_variance_settles_where_the_recursion_says() -> None:
    for h in (0.5, 1.5):
        found = settled_variance(h, 20_000, seed=0)
        assert abs(found.mean - exact_variance(h)) < 4 * found.standard_error
        assert abs(found.mean - 1) > 4 * found.standard_error


def test_the_angle_is_0_for_the_subspace_itself_and_its_sine_1_for_one_at_a_right_angle() -> None:
    scales = torch.tensor([4.0, 3.0, 0.2, 0.1])
    pca = PCA(2).fit(torch.randn(300, 4, generator=seeds.generator(0, "data")) * scales)
    model = Autoencoder(*linear_pair((4,), 2), shape=(4,))
    mixed = pca.axes @ torch.tensor([[2.0, 1.0], [0.0, -3.0]])
    model.decoder[0].weight.data = mixed
    assert sine_of_largest_angle(model, pca) < 1e-6
    model.decoder[0].weight.data = torch.linalg.svd(pca.axes).U[:, 2:]
    assert abs(sine_of_largest_angle(model, pca) - 1) < 1e-6
