"""The perceptron pair of 2014."""

import pytest
import torch
import torch.nn.functional as F

from epslab.errors import UserError
from epslab.nets import PerceptronDecoder, PerceptronEncoder, perceptron


def test_one_hidden_layer_of_500_each_way() -> None:
    encoder, decoder = PerceptronEncoder((1, 28, 28), 20), PerceptronDecoder((1, 28, 28), 20)
    assert sum(p.numel() for p in encoder.parameters()) == (784 + 1) * 500 + 2 * (500 + 1) * 20
    assert sum(p.numel() for p in decoder.parameters()) == (20 + 1) * 500 + (500 + 1) * 784


def test_shapes_and_channels() -> None:
    mean, log_std = PerceptronEncoder((3, 4, 5), 2, (7, 6))(torch.rand(4, 3, 4, 5))
    assert mean.shape == log_std.shape == (4, 2)
    assert PerceptronDecoder((3, 4, 5), 2, (6, 7), channels=9)(mean).shape == (4, 9, 4, 5)


def test_softplus_head_returns_log_sigma_too() -> None:
    soft = PerceptronEncoder((1, 4, 4), 3, (8,), positive="softplus")
    plain = PerceptronEncoder((1, 4, 4), 3, (8,))
    plain.load_state_dict(soft.state_dict())
    images = torch.rand(6, 1, 4, 4)
    torch.testing.assert_close(soft(images)[1].exp(), F.softplus(plain(images)[1]))


def test_wrong_settings_and_images_are_refused() -> None:
    with pytest.raises(ValueError, match="'exp' or 'softplus'"):
        PerceptronEncoder((1, 4, 4), 2, positive="relu")
    with pytest.raises(UserError, match="given 1×8×8"):
        PerceptronEncoder((1, 4, 4), 2)(torch.rand(1, 1, 8, 8))


def test_perceptron_ends_with_or_without_its_activation() -> None:
    assert [type(layer).__name__ for layer in perceptron([2, 3, 1])] == ["Linear", "Tanh", "Linear"]
    assert [type(layer).__name__ for layer in perceptron([2, 3], last=True)] == ["Linear", "Tanh"]
