from dataclasses import replace
from pathlib import Path

import pytest

from epslab import recipes
from epslab.errors import UserError
from epslab.recipes import VAERecipe
from epslab.runs import Run
from epslab.studies.context import COURSE, QUICK, Context


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the context asks of ``recipes.train``, which here leaves a finished run at once."""
    asked: list[dict] = []

    def train(recipe: VAERecipe, *, out: Path, **options: object) -> Run:
        asked.append({"recipe": recipe, "out": out, **options})
        run = Run(out)
        if options["overwrite"] or not run.exists():
            settings = {"recipe": "vae", "data": options["data"], "seed": options["seed"], **vars(recipe)}
            run = Run.create(out, settings, overwrite=bool(options["overwrite"]))
        run.last_checkpoint.write_bytes(b"")
        run.update_result(status="finished")
        return run

    monkeypatch.setattr(recipes, "train", train)
    return asked


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


def test_a_run_without_a_checkpoint_starts_anew(calls: list[dict], tmp_path: Path) -> None:
    context = Context(out=tmp_path)
    context.train(QUICK, "vae", 0).last_checkpoint.unlink()
    context.train(QUICK, "vae", 0)
    assert (calls[1]["resume"], calls[1]["overwrite"]) == (False, True)


@pytest.mark.parametrize(("recipe", "data"), [(replace(QUICK, beta=2.0), "digits"), (QUICK, "mnist")])
def test_a_run_with_other_settings_is_replaced(calls: list[dict], tmp_path: Path, recipe, data: str) -> None:
    Context(out=tmp_path).train(QUICK, "vae", 0)
    Context(out=tmp_path, data=data).train(recipe, "vae", 0)
    assert (calls[1]["resume"], calls[1]["overwrite"]) == (False, True)


def test_an_interrupted_training_interrupts_the_study(monkeypatch, calls: list[dict], tmp_path: Path) -> None:
    finishing = recipes.train

    def interrupted(*arguments: object, **options: object) -> Run:
        run = finishing(*arguments, **options)
        run.update_result(status="interrupted")
        return run

    monkeypatch.setattr(recipes, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Context(out=tmp_path).train(QUICK, "vae", 0)
