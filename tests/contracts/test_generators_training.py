"""Every recipe of a generative model trains, is saved and loaded, and is resumed after a kill, bit for bit."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from epslab import recipes, seeds
from epslab.recipes import running
from epslab.recipes.plan import Plan
from epslab.runs import Run

from .generators import TRAINED, Case, interrupted_and_killed


def generator() -> torch.Generator:
    return seeds.generator(0, "contract")


@pytest.fixture(scope="module", params=TRAINED, ids=[case.name for case in TRAINED])
def case(request: pytest.FixtureRequest) -> Case:
    """A model of every recipe in turn."""
    chosen: Case = request.param
    return chosen


@pytest.fixture(scope="module", autouse=True)
def without_pictures() -> Iterator[None]:
    """They have their tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "show", lambda *_, **__: None)
        yield


@pytest.fixture(scope="module")
def trained(case: Case, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Any]:
    """A case's run, and its model as training left it."""
    plans: list[Plan] = []
    original = running.planned

    def planned(*arguments: Any) -> Any:
        raw, plan = original(*arguments)
        plans.append(plan)
        return raw, plan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "planned", planned)
        run = case.train(tmp_path_factory.mktemp("run") / case.name)
    return run, plans[0].model


def test_a_loaded_model_is_the_trained_one_to_the_bit(case: Case, trained: tuple[Run, Any]) -> None:
    run, model = trained
    assert run.result()["status"] == "finished"
    loaded, fresh = recipes.load(run), case.plan(tuple(running.stand_in(run).shape)).model
    kept, initial = loaded.state_dict(), fresh.state_dict()
    assert kept.keys() == model.state_dict().keys()
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    assert not all(torch.equal(kept[name], value) for name, value in initial.items())
    if case.draws:
        assert torch.equal(loaded.sample(6, generator()), model.eval().sample(6, generator()))


@pytest.mark.processes
def test_a_killed_training_ends_with_the_same_bits(
    case: Case, trained: tuple[Run, Any], server: Any, tmp_path: Path
) -> None:
    """Interrupted within the first epoch, killed within the second: every turn's optimiser, the average, the noise."""
    folder = tmp_path / "parts"
    child = server.Process(target=interrupted_and_killed, args=(case.name, folder))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(Run(folder).metrics()["epoch"]) == 2  # before training, after the first epoch
    run = case.train(folder, resume=True)
    for name in ("metrics.csv", "model.safetensors"):
        assert (folder / name).read_bytes() == (trained[0].folder / name).read_bytes(), name
    assert run.result()["steps"] == trained[0].result()["steps"] == 10


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """Starts processes to kill: a server that has imported torch once forks them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["contracts.generators"])
        yield context
