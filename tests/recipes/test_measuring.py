"""An evaluation is bound to what it measured, notices data that changed, and loses no number to a full disk."""

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from epslab import recipes
from epslab.cli import main
from epslab.errors import UserError
from epslab.recipes import SmallCNNRecipe, VAERecipe
from epslab.recipes.measuring import shaping
from epslab.runs import Run, weights_hash
from epslab.training import Machine

TINY = SmallCNNRecipe(epochs=1, width=4, batch_size=16, validation_fraction=0.25)


def draw(folder: Path, numbers: range, level: int) -> None:
    """Grey images of 8×8 pixels, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        image = Image.new("L", (8, 8), level)
        image.putpixel((number % 8, number // 8), 255 - level)
        image.save(folder / f"{number:03d}.png")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of two classes, and a run that was trained on it."""
    folder = tmp_path_factory.mktemp("made")
    for split, numbers in (("train", range(24)), ("test", range(24, 36))):
        for name, level in (("bright", 220), ("dark", 30)):
            draw(folder / "data" / split / name, numbers, level)
    recipes.train(TINY, data=str(folder / "data"), out=folder / "run", progress=False, machine=Machine("cpu"))
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Iterator[Run]:
    """The run, and its data where it says they are; both can be changed."""
    shutil.copytree(made / "run", tmp_path / "run")
    shutil.copytree(made / "data", tmp_path / "kept")
    yield Run(tmp_path / "run")
    shutil.rmtree(made / "data")
    shutil.move(tmp_path / "kept", made / "data")


def test_an_evaluation_says_what_it_measured(run: Run) -> None:
    recipes.evaluate(run)
    of = run.result()["of"]
    assert of["weights"] == run.weights_hash() == weights_hash(recipes.load(run).state_dict())
    assert of["data"] == recipes.splits(run).test.checksum()
    assert of["settings"] == shaping(TINY) == {"width": 4}
    assert {"net", "binarise", "levels", "std"} <= shaping(VAERecipe()).keys()
    assert not {"epochs", "patience", "batch_size"} & shaping(VAERecipe()).keys()
    recipes.evaluate(run, limit=5)
    assert run.result()["of"]["data"] != of["data"]
    assert run.stale() is None
    assert not run.measured().warnings
    assert {"reliability", "confusion"} <= {picture.name for picture in run.pictures()}
    run.save_weights({name: tensor + 0 for name, tensor in recipes.load(run).state_dict().items()})
    assert run.stale() is None
    run.save_weights({name: tensor + 1 for name, tensor in recipes.load(run).state_dict().items()})
    assert run.stale() is not None
    assert run.pictures() == []


def test_data_that_changed_after_training_are_noticed(run: Run, made: Path) -> None:
    """One training image became a test image: the numbers say so, and what was held out cannot be told any more."""
    assert recipes.evaluate(run, split="validation")
    train = made / "data" / "train" / "dark" / "003.png"
    train.rename(made / "data" / "test" / "dark" / "003.png")
    recipes.evaluate(run)
    (warning,) = run.measured().warnings
    assert "are not those this model was trained on" in warning
    with pytest.raises(UserError, match=r"have changed since .* was trained.*use `split='test'`"):
        recipes.evaluate(run, split="validation")


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def read_only(*_: Any, **__: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("refuse", [full, read_only])
def test_numbers_that_cannot_be_kept_are_returned(
    run: Run, monkeypatch: pytest.MonkeyPatch, refuse: Callable[..., None]
) -> None:
    kept = recipes.evaluate(run)
    before = {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()}
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.warns(UserWarning, match=r"measured, but are not kept: '.*' cannot be written \((No space|Read-only)"):
        assert recipes.evaluate(run) == kept
    assert {path: path.read_bytes() for path in run.folder.rglob("*") if path.is_file()} == before


def test_the_command_line_prints_what_cannot_be_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.mkstemp", read_only)
    assert main(["evaluate", str(run.folder)]) == 2
    printed = capsys.readouterr()
    assert "accuracy" in printed.out
    assert " on 24 test images" in printed.out
    assert "result.json" not in printed.out
    assert "epslab report" not in printed.out
    assert printed.err.splitlines()[-1].startswith("epslab: The numbers were measured, but are not kept: ")
    assert run.result().get("measurements") is None


def test_what_cannot_be_read_is_refused_before_the_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("measured in vain")

    monkeypatch.setattr("epslab.recipes.measuring.planned_of", never)
    for name in ("result.json", "figures/index.json"):
        (run.folder / name).write_text("{")
        with pytest.raises(UserError, match="delete it"):
            recipes.evaluate(run)
        (run.folder / name).unlink()


def test_damaged_weights_are_not_measured(run: Run) -> None:
    content = bytearray(run.weights.read_bytes())
    content[-1000:] = bytes(1000)
    run.weights.write_bytes(bytes(content))
    before = run.result()
    with pytest.raises(UserError, match="are damaged"):
        recipes.evaluate(run)
    assert run.result() == before


def test_a_run_that_another_writes_to_is_not_measured(run: Run, held: Callable[[Path, str], Any]) -> None:
    with held(run.folder, "training"), pytest.raises(UserError, match=r"is in use: process .* has been training in it"):
        recipes.evaluate(run)
    assert recipes.evaluate(run)


def test_samples_of_earlier_weights_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = VAERecipe(epochs=1, net="perceptron", hidden=(8,), latent_dim=2, sample_epochs=(0,))
    run = recipes.train(tiny, out=tmp_path / "run", progress=False, machine=Machine("cpu"))
    assert main(["sample", str(run.folder), "-n", "4"]) == 0
    names = ["samples-epoch-0000", "samples-epoch-0001"]
    assert [picture.name for picture in run.pictures()] == [*names, "samples-4"]
    run.save_weights({name: tensor + 1 for name, tensor in recipes.load(run).state_dict().items()})
    assert [picture.name for picture in run.pictures()] == names
    assert main(["report", str(run.folder)]) == 0
    page = (run.folder / "report.html").read_text()
    assert "Pictures of earlier weights or other data are left out: samples-4." in page
