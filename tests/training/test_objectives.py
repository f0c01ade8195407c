"""What objectives may do: take derivatives with respect to their inputs, in turns, on points as on images."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from training_samples import images

from epslab import seeds
from epslab.data import PointSet, toys
from epslab.errors import UserError
from epslab.training import Machine, Turn, fit
from epslab.types import Batch, Progress

QUIET: dict[str, Any] = {"progress": False, "machine": Machine("cpu")}


class Players(nn.Module):
    """A generator and a linear critic of points."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Linear(2, 2)
        self.critic = nn.Linear(2, 1)
        with torch.no_grad():
            self.critic.weight.copy_(torch.tensor([[-1.5, -2.0]]))  # of norm 2.5
            self.generator.weight.copy_(torch.eye(2))
            self.generator.bias.fill_(3.0)


def players_of(model: Players) -> dict[str, Turn]:
    """A Wasserstein GAN with its gradient penalty, written as in a bare loop."""

    def fake(batch: Batch) -> Tensor:
        return model.generator(seeds.noise(batch.seeds, 0, (2,)))

    def judge(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        generated = fake(batch).detach()
        u = seeds.uniform(batch.seeds, 1, (1,))
        between = (u * batch.examples + (1 - u) * generated).requires_grad_()
        (slope,) = torch.autograd.grad(model.critic(between).sum(), between, create_graph=True)
        penalty = (slope.norm(dim=1) - 1).square()
        gap = (model.critic(generated) - model.critic(batch.examples)).squeeze(1)
        return {"loss": gap + 10 * penalty, "penalty": penalty, "gap": gap}

    def deceive(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        return {"loss": -model.critic(fake(batch)).squeeze(1)}

    adam = partial(torch.optim.Adam, lr=0.05)
    return {"critic": Turn(judge, model.critic, adam), "generator": Turn(deceive, model.generator, adam, every=5)}


def test_a_gradient_penalty_trains_in_turns_on_points(tmp_path: Path) -> None:
    points = PointSet(toys.gaussian_ring(600, generator=torch.Generator().manual_seed(0)))
    train, validation = points.split([500, 100], seed=0)
    model = Players()
    options: dict[str, Any] = {"out": tmp_path / "run", "epochs": 20, "batch_size": 50, **QUIET}
    run = fit(model, players_of(model), train, validation, **options)
    metrics = run.metrics()
    # Before training the critic's slope is 2.5 everywhere; the penalty brings it to about 1.
    assert metrics["val/critic/penalty"][0] == pytest.approx(1.5**2, rel=1e-5)
    assert metrics["val/critic/penalty"][-1] < 0.05
    # The generator's points began around (3, 3), the ring is around the origin.
    assert model.generator.bias.norm() < 2.0
    assert run.config["provenance"]["shape"] == [2]
    assert list(run.timing()) == ["epoch", "examples_per_second", "seconds"]
    assert run.config["provenance"]["data"]["train"] == train.checksum()
    with pytest.raises(UserError, match=r"cannot be resumed with other training data"):
        fit(model, players_of(model), validation, validation, **{**options, "resume": True})


def test_while_validated_weights_need_no_gradient_and_inputs_may(tmp_path: Path) -> None:
    model = nn.Conv2d(1, 1, 1)
    seen: set[tuple[bool, bool, bool]] = set()

    def objective(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        x = batch.images.clone().requires_grad_()
        (slope,) = torch.autograd.grad(model(x).sum(), x)
        loss = (model(batch.images) - batch.images).square().flatten(1).sum(1)
        seen.add((progress.training, model.weight.requires_grad, loss.requires_grad))
        return {"loss": loss, "slope": slope.flatten(1).mean(1)}

    run = fit(model, objective, images(40, 1), images(10, 2), out=tmp_path / "run", epochs=1, **QUIET)
    assert seen == {(True, True, True), (False, False, False)}
    assert model.weight.requires_grad
    assert run.metrics()["val/slope"][-1] == pytest.approx(model.weight.item(), rel=1e-5)


def test_points_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = nn.Linear(3, 1)

    def objective(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        return {"loss": model(batch.examples).squeeze(1)}

    points = PointSet(torch.zeros(5, 2))
    with pytest.raises(UserError, match=r"does not fit examples of shape \[2\] \(mat1 and mat2 shapes"):
        fit(model, objective, points, points, out=tmp_path / "run", epochs=1, **QUIET)
    with pytest.raises(UserError, match=r"have shape \[2\] and validation examples \[3\]: both must have the same"):
        fit(model, objective, points, PointSet(torch.zeros(5, 3)), out=tmp_path / "run", epochs=1, **QUIET)
    assert not list(tmp_path.iterdir())


def test_an_objective_on_a_double_precision_model_is_tried_in_its_type(tmp_path: Path) -> None:
    model = nn.Linear(2, 1).double()

    def objective(batch: Batch, progress: Progress) -> dict[str, Tensor]:
        assert batch.examples.dtype == torch.float64
        return {"loss": model(batch.examples).squeeze(1).square()}

    machine = Machine("cpu", precision="64-true")
    points = PointSet(torch.ones(5, 2))
    fit(model, objective, points, points, out=tmp_path / "run", epochs=1, machine=machine, progress=False)
