import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from epslab import recipes
from epslab.data import load
from epslab.errors import UserError
from epslab.recipes import VAERecipe
from epslab.runs import Run
from epslab.studies.context import COURSE, QUICK, Context


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the context asks of ``recipes.train``, which here leaves a finished run at once."""
    asked: list[dict] = []

    def train(recipe: VAERecipe, *, data: str, out: Path, seed: int, **options: object) -> Run:
        asked.append({"recipe": recipe, "data": data, "out": out, "seed": seed, **options})
        run = Run(out)
        if options["overwrite"] or not run.exists():
            settings = {"recipe": "vae", "data": data, "seed": seed, **vars(recipe)}
            about = {"data": recipes.trained_on(recipe, data, None, seed)}
            run = Run.create(out, settings, provenance=about, overwrite=bool(options["overwrite"]))
        run.save_weights({"w": torch.tensor(len(asked))})
        run.last_checkpoint.write_bytes(b"")
        run.update_result(status="finished")
        return run

    monkeypatch.setattr(recipes, "train", train)
    return asked


def images(folder: Path, level: int) -> str:
    """A data set of the user's own: two classes, four images of 8×8 each for training and for testing."""
    for split in ("train", "test"):
        for name, first in (("dark", 0), ("bright", 100)):
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for i in range(4):
                Image.new("L", (8, 8), first + level + i).save(folder / split / name / f"{i}.png")
    return str(folder)


def test_scales() -> None:
    assert Context(seed=4).seeds == (4,)
    assert Context(seed=4, scale="full").seeds == (4, 5, 6)
    assert Context().recipe(beta=2.0) == replace(QUICK, beta=2.0)
    assert Context(scale="full").recipe() == COURSE == VAERecipe()
    with pytest.raises(UserError, match=r"Unknown scale 'ful'\. Did you mean 'full'"):
        Context(scale="ful")


@pytest.mark.usefixtures("calls")
def test_a_finished_run_is_taken_as_it_is(calls: list[dict], tmp_path: Path) -> None:
    context = Context(out=tmp_path, data_root=tmp_path / "here")
    first = context.train(QUICK, "vae", 0)
    again = Context(out=tmp_path, data_root=tmp_path / "there").train(QUICK, "vae", 0)
    assert first.folder == again.folder == tmp_path / "runs" / "vae-0"
    assert len(calls) == 1
    assert (calls[0]["resume"], calls[0]["overwrite"]) == (False, False)


def test_an_unfinished_run_is_carried_on(calls: list[dict], tmp_path: Path) -> None:
    context = Context(out=tmp_path)
    run = context.train(QUICK, "vae", 0)
    run.update_result(status="running")
    context.train(QUICK, "vae", 0)
    assert (calls[1]["resume"], calls[1]["overwrite"]) == (True, False)


def test_a_finished_run_needs_no_checkpoint_and_an_unfinished_one_starts_again(
    calls: list[dict], tmp_path: Path
) -> None:
    context = Context(out=tmp_path)
    run = context.train(QUICK, "vae", 0)
    context.tidy(["runs/vae-0", "runs/none-0"])
    assert not run.checkpoints.exists()
    context.train(QUICK, "vae", 0)
    assert len(calls) == 1
    run.update_result(status="running")
    context.train(QUICK, "vae", 0)
    assert (calls[1]["resume"], calls[1]["overwrite"]) == (False, True)


def test_an_unfinished_run_keeps_its_checkpoint(calls: list[dict], tmp_path: Path) -> None:
    context = Context(out=tmp_path)
    run = context.train(QUICK, "vae", 0)
    run.update_result(status="running")
    context.tidy(["runs/vae-0"])
    assert run.last_checkpoint.exists()


def test_a_finished_run_without_weights_is_trained_again(calls: list[dict], tmp_path: Path) -> None:
    context = Context(out=tmp_path)
    context.train(QUICK, "vae", 0).weights.unlink()
    context.train(QUICK, "vae", 0)
    assert len(calls) == 2


def test_a_run_with_other_settings_is_replaced(calls: list[dict], tmp_path: Path) -> None:
    Context(out=tmp_path).train(QUICK, "vae", 0)
    Context(out=tmp_path).train(replace(QUICK, beta=2.0), "vae", 0)
    assert (calls[1]["resume"], calls[1]["overwrite"]) == (False, True)


def test_the_same_examples_under_another_name_are_not_trained_on_again(calls: list[dict], tmp_path: Path) -> None:
    recipe = replace(QUICK, validation_fraction=0.25)
    here, there = images(tmp_path / "here", 5), images(tmp_path / "there", 5)
    out = tmp_path / "study"
    Context(data=here, out=out).train(recipe, "vae", 0)
    shutil.rmtree(here)
    run = Context(data=there, out=out).train(recipe, "vae", 0)
    assert len(calls) == 1
    assert recipes.splits(run).test.checksum() == load(there, "test").checksum()
    assert run.config["provenance"]["data"] == recipes.trained_on(recipe, there, None, 0)


def test_other_examples_under_the_same_name_are_trained_on_again(calls: list[dict], tmp_path: Path) -> None:
    recipe = replace(QUICK, validation_fraction=0.25)
    data, out = images(tmp_path / "data", 5), tmp_path / "study"
    Context(data=data, out=out).train(recipe, "vae", 0)
    images(tmp_path / "data", 6)
    Context(data=data, out=out).train(recipe, "vae", 0)
    assert [(call["resume"], call["overwrite"]) for call in calls] == [(False, False), (False, True)]


def test_an_old_run_knows_its_data_by_name(calls: list[dict], tmp_path: Path) -> None:
    context = Context(out=tmp_path)
    run = context.train(QUICK, "vae", 0)
    content = {key: value for key, value in run.config.items() if key != "provenance"}
    (run.folder / "config.yaml").write_text(yaml.safe_dump(content))
    context.train(QUICK, "vae", 0)
    assert len(calls) == 1
    other = images(tmp_path / "other", 5)
    Context(out=tmp_path, data=other).train(QUICK, "vae", 0)
    assert (calls[1]["data"], calls[1]["overwrite"]) == (other, True)


def test_an_interrupted_training_interrupts_the_study(monkeypatch, calls: list[dict], tmp_path: Path) -> None:
    finishing = recipes.train

    def interrupted(*arguments: object, **options: object) -> Run:
        run = finishing(*arguments, **options)
        run.update_result(status="interrupted")
        return run

    monkeypatch.setattr(recipes, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Context(out=tmp_path).train(QUICK, "vae", 0)
