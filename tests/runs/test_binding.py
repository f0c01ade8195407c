"""Results are bound to the weights, data and settings they were measured on, and left out where those have changed."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from epslab.files import write_atomic
from epslab.runs import Measured, Measurement, Run, save_picture
from epslab.runs.png import png

MEASURED = Measured([Measurement("accuracy", "accuracy", "fraction", 0.933, headline=True)], statements=["It works."])


def weights(value: float) -> dict[str, torch.Tensor]:
    return {"w": torch.full((3,), value)}


def attack(folder: Path, **entries: Any) -> Path:
    folder.mkdir(parents=True)
    write_atomic(folder / "result.json", json.dumps({"kind": "attack", "worst_case": 0.1, **entries}))
    return folder


@pytest.fixture
def picture() -> bytes:
    from matplotlib.figure import Figure

    return png(Figure(figsize=(1, 1), dpi=20))


@pytest.fixture
def run(tmp_path: Path, picture: bytes) -> Run:
    """Trained, measured, attacked and drawn, with weights of 1."""
    run = Run.create(tmp_path / "run", {"recipe": "toy", "std": 0.1, "hidden": (3, 4), "epochs": 3})
    run.save_weights(weights(1.0), {"epoch": 3})
    run.show("samples-epoch-0003", picture, "While it was trained.", order=3)
    of = {"weights": run.weights_hash(), "data": "sha256:a", "settings": {"std": 0.1, "hidden": (3, 4)}}
    with run.bound(of):
        run.show("mistakes", picture, "When it was measured.")
        run.record(MEASURED, split="test", images=360)
    attack(run.folder / "attacks" / "pgd", of={"weights": run.weights_hash()})
    return run


def left(run: Run) -> tuple[list[str], list[str], list[str]]:
    """What is shown as the run's own: numbers, pictures, and the attacks that are not."""
    return list(run.measurements()), [one.name for one in run.pictures()], list(run.stale_attacks())


CURRENT = (["accuracy"], ["samples-epoch-0003", "mistakes"], [])
STALE = ([], ["samples-epoch-0003"], ["pgd"])


def test_what_was_measured_of_these_weights_is_shown(run: Run) -> None:
    assert run.stale() is None
    assert left(run) == CURRENT
    assert run.result()["of"]["settings"] == {"std": 0.1, "hidden": [3, 4]}


def test_training_that_goes_on_makes_it_stale(run: Run) -> None:
    run.save_weights(weights(2.0), {"epoch": 9})
    assert left(run) == STALE
    sentence = run.stale()
    assert sentence is not None
    assert "of the last evaluation are left out: the weights have changed since;" in sentence
    assert f"`epslab evaluate {run.folder}`" in sentence
    measured = run.measured()
    assert (measured.statements, measured.warnings) == ((), [sentence])
    with run.bound({"weights": run.weights_hash(), "data": "sha256:a"}):
        run.record(MEASURED, split="test", images=360)
    assert run.stale() is None
    assert left(run) == (["accuracy"], ["samples-epoch-0003"], ["pgd"])


def test_the_same_weights_again_are_not_stale(run: Run) -> None:
    """Training went on, and the best epoch stayed the one that was measured."""
    run.update_result(status="finished", epochs=12)
    run.save_weights(weights(1.0), {"epoch": 3})
    assert left(run) == CURRENT


def test_weights_put_there_by_hand_make_it_stale(run: Run) -> None:
    from safetensors.torch import save_file

    save_file(weights(1.0), run.weights)
    assert left(run) == CURRENT
    save_file(weights(1.5), run.weights)
    assert left(run) == STALE


def test_settings_changed_by_hand_make_it_stale(run: Run) -> None:
    run.update_settings({"recipe": "toy", "std": 0.1, "hidden": [3, 4], "epochs": 50, "data_root": "elsewhere"})
    assert left(run) == CURRENT
    run.update_settings({"recipe": "toy", "std": 0.5, "hidden": [3, 4], "epochs": 3})
    assert "left out: std was 0.1 then, and config.yaml says 0.5 now;" in str(run.stale())
    assert run.measurements() == {}


def test_a_picture_of_other_data_than_was_measured_last_is_left_out(run: Run, picture: bytes) -> None:
    with run.bound({"weights": run.weights_hash(), "data": "sha256:b"}):
        run.show("codes", picture, "Of the data now.")
        run.record(MEASURED, split="test", images=10)
    assert [one.name for one in run.pictures()] == ["samples-epoch-0003", "codes"]
    assert [one.name for one in run.stale_pictures()] == ["mistakes"]


def test_what_is_recorded_without_more_is_bound_to_the_weights_there(run: Run, picture: bytes) -> None:
    run.show("later", picture, "Of nothing in particular.")
    run.record(MEASURED, split="test", images=1)
    assert run.result()["of"] == {"weights": run.weights_hash()}
    run.save_weights(weights(2.0))
    assert left(run) == ([], ["samples-epoch-0003", "later"], ["pgd"])


def test_what_an_earlier_version_measured_is_bound_when_training_goes_on(tmp_path: Path, picture: bytes) -> None:
    from safetensors.torch import save_file

    run = Run.create(tmp_path / "run", {"recipe": "toy"})
    save_file(weights(1.0), run.weights, metadata={"epslab": '{"epoch": 3}'})
    run.update_result(status="finished", evaluation={"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 10}})
    save_picture(run.figures, "mistakes", picture, "Measured.")
    save_picture(run.figures, "samples-epoch-0003", picture, "Trained.", order=3)
    (run.figures / "confusion.png").write_bytes(picture)  # before there was an index
    (run.figures / "my-own.png").write_bytes(picture)
    pgd = attack(run.folder / "attacks" / "pgd")
    assert run.stale() is None
    assert left(run)[0] == ["accuracy"]
    assert len(run.pictures()) == 4
    run.save_weights(weights(1.0))
    assert run.stale() is None
    again = Run.open(run.folder)
    again.save_weights(weights(2.0))
    assert left(again) == ([], ["samples-epoch-0003", "my-own"], ["pgd"])
    assert json.loads((pgd / "result.json").read_text())["worst_case"] == 0.1
    again.save_weights(weights(1.0))
    assert again.stale() is None


def test_damaged_weights_are_other_weights(run: Run) -> None:
    content = run.result()
    del content["of"]
    (run.folder / "result.json").write_text(json.dumps(content))
    run.weights.write_bytes(b"damaged")
    assert left(run)[1:] == STALE[1:]
    again = Run(run.folder)
    again.save_weights(weights(3.0))
    assert left(again) == STALE


def test_a_run_without_settings_or_weights_shows_what_it_has(run: Run) -> None:
    run.weights.unlink()
    assert left(run) == CURRENT
    (run.folder / "config.yaml").write_text(yaml.safe_dump({"recipe": "toy"}))
    assert run.stale() is None
