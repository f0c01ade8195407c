"""The autoencoder: its error summed per example, and PCA's subspace where it is linear."""

import pytest
import torch
from torch import Tensor

from epslab import data, seeds
from epslab.errors import UserError
from epslab.generative import PCA
from epslab.generative.autoencoder import Autoencoder, AutoencoderObjective
from epslab.nets.codes import conv_pair, linear_pair, perceptron_pair
from epslab.types import Batch, Progress

SHAPE = (1, 8, 8)
PROGRESS = Progress(0, 0, 1, 1, True)


def linear(latent_dim: int, shape: tuple[int, ...] = SHAPE) -> Autoencoder:
    with seeds.seeded(0, "autoencoder"):
        return Autoencoder(*linear_pair(shape, latent_dim), shape=shape).double()


def sine_of_largest_angle(decoder: Tensor, axes: Tensor) -> float:
    """Between the columns' spans: the largest singular value of what a projection leaves over."""
    U = torch.linalg.qr(decoder).Q
    return float(torch.linalg.svdvals(axes - U @ (U.T @ axes)).max())


def fitted(model: Autoencoder, images: Tensor, iterations: int) -> Autoencoder:
    """Trained on all images at once."""
    optimiser = torch.optim.LBFGS(
        model.parameters(), max_iter=iterations, history_size=50, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = model.squared_error(images).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    return model


def test_the_linear_autoencoder_spans_the_subspace_of_pca() -> None:
    """Baldi & Hornik (1989): the only minimum, up to an invertible change of the code."""
    images = data.load("digits", "train")[:400].images.double()
    pca, model = PCA(5).fit(images), fitted(linear(5), images, 300)
    assert sine_of_largest_angle(model.decoder[0].weight.detach(), pca.axes) < 1e-2
    exact = (pca.reconstruct(images) - images).square().flatten(1).sum(1).mean()
    found = model.squared_error(images).mean().detach()
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=0)
    assert found > exact * (1 - 1e-12)  # nothing linear is below PCA


def test_the_error_is_summed_over_dimensions_and_not_averaged() -> None:
    """The trap: averaged over pixels, or over the batch. A net that answers ½ is wrong by (x − ½)² at every pixel."""
    model = linear(3)
    for parameter in model.decoder.parameters():
        parameter.data.zero_()
    model.decoder[0].bias.data.fill_(0.5)
    x = torch.rand(4, *SHAPE, dtype=torch.float64, generator=seeds.generator(0, "x"))
    by_hand = torch.stack([sum((pixel - 0.5) ** 2 for pixel in image.flatten()) for image in x])
    torch.testing.assert_close(model.squared_error(x), by_hand, rtol=1e-12, atol=0)
    values = AutoencoderObjective(model)(Batch(x, torch.zeros(4).long(), torch.arange(4)), PROGRESS)
    torch.testing.assert_close(values["loss"], by_hand, rtol=1e-12, atol=0)


def test_a_half_precision_model_sums_its_error_in_float32() -> None:
    """Σ of 64 squares near 1 in bfloat16 would be wrong by whole units."""
    model = linear(3).bfloat16()
    for parameter in model.parameters():
        parameter.data.zero_()
    error = model.squared_error(torch.full((2, *SHAPE), 0.99, dtype=torch.bfloat16))
    assert error.dtype == torch.float32
    value = float(torch.tensor(0.99, dtype=torch.bfloat16)) ** 2
    torch.testing.assert_close(error, torch.full((2,), 64 * value))


def test_the_pairs_are_of_the_sizes_they_state() -> None:
    def count(pair: tuple[torch.nn.Module, torch.nn.Module]) -> int:
        return sum(p.numel() for part in pair for p in part.parameters())

    assert count(linear_pair((1, 28, 28), 20)) == 784 * 20 + 20 + 20 * 784 + 784
    assert count(conv_pair((1, 28, 28), 20)) == 245_781
    for pair in (perceptron_pair((3, 5, 7), 4, (9, 6)), conv_pair((3, 5, 7), 4, 2)):
        model = Autoencoder(*pair, shape=(3, 5, 7))
        x = torch.rand(2, 3, 5, 7)
        assert model.encode(x).shape == (2, 4)
        assert model.reconstruct(x).shape == x.shape
    assert Autoencoder(*perceptron_pair((2,), 1, (8,)), shape=(2,)).reconstruct(torch.randn(3, 2)).shape == (3, 2)


def test_it_draws_no_samples_and_refuses_other_shapes() -> None:
    model = linear(2)
    assert not hasattr(model, "sample")
    with pytest.raises(UserError, match="built for examples of shape 1×8×8, but was given 1×7×8"):
        model.encode(torch.rand(2, 1, 7, 8, dtype=torch.float64))
