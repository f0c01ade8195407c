"""What is minimised and what is reported: beta, warm-up and free bits touch the first, never the second."""

import math

import pytest
import torch

from epslab import seeds
from epslab.data import bernoulli_draw
from epslab.errors import UserError
from epslab.generative.priors import MixturePrior
from epslab.generative.vae import VAE
from epslab.generative.vae_objective import VAEObjective
from epslab.nets import PerceptronDecoder, PerceptronEncoder
from epslab.probability.likelihoods import Bernoulli
from epslab.types import Batch, Progress

SHAPE = (1, 4, 4)


def vae(beta: float = 1.0) -> VAE:
    with seeds.seeded(0, "objective"):
        encoder, decoder = PerceptronEncoder(SHAPE, 3, (8,)), PerceptronDecoder(SHAPE, 3, (8,))
    return VAE(encoder, decoder, Bernoulli(), beta=beta).double()


def batch(n: int = 5) -> Batch:
    g = seeds.generator(0, "batch")
    x = torch.rand(n, *SHAPE, generator=g, dtype=torch.float64)
    return Batch(x, torch.zeros(n, dtype=torch.int64), seeds.draw(n, g))


def at(step: int, training: bool = True) -> Progress:
    return Progress(epoch=step // 10, step=step, steps_per_epoch=10, epochs=5, training=training)


def test_the_plain_objective_is_the_negative_elbo_in_nats() -> None:
    model, b = vae(), batch()
    values = VAEObjective(model)(b, at(0))
    terms = model.terms(b.images, seeds=b.seeds)
    torch.testing.assert_close(values["loss"], terms.negative_elbo)
    torch.testing.assert_close(values["bits_per_dim"], terms.negative_elbo / (16 * math.log(2)))


def test_beta_weighs_the_loss_and_leaves_the_reported_bound_alone() -> None:
    b = batch()
    plain, weighted = VAEObjective(vae())(b, at(0)), VAEObjective(vae(beta=4.0))(b, at(0))
    torch.testing.assert_close(weighted["loss"], plain["reconstruction"] + 4 * plain["kl"])
    torch.testing.assert_close(weighted["bits_per_dim"], plain["bits_per_dim"])
    torch.testing.assert_close(weighted["kl"], plain["kl"])


def test_warm_up_rises_linearly_and_validation_sees_the_full_weight() -> None:
    objective = VAEObjective(vae(beta=2.0), warmup_epochs=2.0)
    assert [objective.beta(at(step)) for step in (0, 5, 10, 20, 30)] == [0, 0.5, 1, 2, 2]
    assert objective.beta(at(0, training=False)) == 2


def test_free_bits_floor_the_batch_mean_of_each_dimension() -> None:
    model, b = vae(), batch()
    per_dimension = model.kl_per_dimension(b.images).mean(0)
    floor = per_dimension.median().item()
    values = VAEObjective(model, free_bits=floor)(b, at(0))
    expected = values["reconstruction"] + per_dimension.clamp(min=floor).sum()
    torch.testing.assert_close(values["loss"], expected)
    torch.testing.assert_close(values["kl"], model.kl_per_dimension(b.images).sum(1))
    assert (expected > values["reconstruction"] + per_dimension.sum()).all()


def test_a_floored_dimension_gets_no_gradient() -> None:
    model, b = vae(), batch()
    VAEObjective(model, free_bits=1e3)(b, at(0))["loss"].sum().backward()
    weight = model.encoder.mean.weight  # type: ignore[union-attr]
    reconstruction = model.terms(b.images, seeds=b.seeds).reconstruction.sum()
    torch.testing.assert_close(weight.grad, torch.autograd.grad(reconstruction, weight)[0])


def test_dynamic_binarisation_draws_from_the_examples_own_seeds() -> None:
    model, b = vae(), batch()
    values = VAEObjective(model, prepare=bernoulli_draw)(b, at(0))
    drawn = bernoulli_draw(b.images, b.seeds)
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    torch.testing.assert_close(values["reconstruction"], model.terms(drawn, seeds=b.seeds).reconstruction)


def test_settings_without_meaning_are_refused() -> None:
    for options in ({"free_bits": -1.0}, {"warmup_epochs": -1.0}, {"samples": 0}):
        with pytest.raises(UserError):
            VAEObjective(vae(), **options)  # type: ignore[arg-type]
    mixture = vae()
    mixture.prior = MixturePrior(2, 3).double()
    with pytest.raises(UserError, match="does not split into dimensions"):
        VAEObjective(mixture, free_bits=0.1)(batch(), at(0))
