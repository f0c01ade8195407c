"""Time embeddings, and the perceptron over points and time."""

import math

import pytest
import torch

from epslab.errors import UserError
from epslab.nets import TimePerceptron
from epslab.nets.time import TimeEmbedding


def test_the_embedding_is_sines_and_cosines() -> None:
    part = TimeEmbedding(6, 4).double()
    part.body = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Linear(6, 6).double())  # type: ignore[assignment]
    with torch.no_grad():
        part.body[1].weight.copy_(torch.eye(6))
        part.body[1].bias.zero_()
    found = part(torch.tensor([7.5], dtype=torch.float64))[0]
    waves = [10_000 ** (-i / 3) for i in range(3)]
    wanted = [math.sin(7.5 * w) for w in waves] + [math.cos(7.5 * w) for w in waves]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=0)


def test_a_half_precision_net_still_tells_late_times_apart() -> None:
    """In bfloat16 the times 999 and 1000 are the same number: the angles must not be computed in it."""
    part = TimeEmbedding(32, 32).bfloat16()
    early, late = part(torch.tensor([999])), part(torch.tensor([1000]))
    assert early.dtype == torch.bfloat16
    assert not torch.equal(early, late)


def test_the_perceptron_starts_at_zero_and_sees_points_and_time() -> None:
    net = TimePerceptron(3, hidden=8)
    x = torch.randn(4, 3)
    assert not net(x, torch.arange(4)).any()
    torch.nn.init.normal_(net.end.weight)
    assert not torch.equal(net(x, torch.zeros(4)), net(x, torch.ones(4)))
    assert not torch.equal(net(x, torch.zeros(4)), net(x + 1, torch.zeros(4)))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"dimensions": 0}, "dimensions=0"), ({"hidden": 7}, "width=7"), ({"layers": 0}, "layers=0")],
)
def test_what_cannot_work_is_refused(arguments: dict[str, int], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TimePerceptron(**{"dimensions": 2, **arguments})


def test_points_of_another_dimension_are_refused() -> None:
    with pytest.raises(UserError, match=r"points \[n 2\], but was given \[1, 3\]"):
        TimePerceptron(2)(torch.zeros(1, 3), torch.zeros(1))
