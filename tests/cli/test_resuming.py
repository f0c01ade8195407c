"""A resumed run never rewrites its history: what changed is recorded, and the run can be repeated to the same bits."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from epslab.runs import Run
from epslab.training.module import TrainingModule

VAE = ("train", "vae", "--data", "digits", "--accelerator", "cpu", "--net", "perceptron", "--hidden", "[8]")
SMALL = ("--latent-dim", 2, "--batch-size", 512, "--sample-epochs", "[0]", "--schedule", "cosine")
WORDS = (*VAE, *SMALL)


@pytest.fixture
def interrupt_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Ctrl-C is pressed at this training batch, counted from here."""
    step = TrainingModule.training_step

    def at(count: int) -> None:
        left = [count]

        def interrupted(self: Any, *arguments: Any) -> None:
            left[0] -= 1
            if left[0] == 0:
                signal.raise_signal(signal.SIGINT)
            step(self, *arguments)

        monkeypatch.setattr(TrainingModule, "training_step", interrupted)

    return at


def written(folder: str) -> tuple[bytes, bytes]:
    return Path(folder, "metrics.csv").read_bytes(), Run(folder).weights.read_bytes()


def test_a_run_that_was_changed_on_its_way_is_repeated_to_the_same_bits(
    epslab: Callable[..., Any], interrupt_at: Callable[[int], None]
) -> None:
    assert epslab(*WORDS, "--out", "a", "--epochs", 2).code == 0
    interrupt_at(5)  # of 3 batches an epoch: within the fourth
    assert epslab("train", "--out", "a", "--resume", "--epochs", 6).code == 130
    assert epslab("train", "--out", "a", "--resume", "--epochs", 5, "--precision", "32").code == 0
    config = Run("a").config
    assert config["epochs"] == 5
    first = {"epoch": 2, "batch": 0, "before": {"epochs": 2}, "after": {"epochs": 6}}
    before, after = {"epochs": 6, "precision": "32-true"}, {"epochs": 5, "precision": "32"}
    assert config["changes"] == [first, {"epoch": 3, "batch": 2, "before": before, "after": after}]

    assert epslab("train", "--config", "a", "--out", "b").code == 0
    assert written("b") == written("a")
    again = Run("b").config
    assert (again["changes"], again["epochs"]) == (config["changes"], 5)

    # Killed on its way, the repetition knows what is still to come.
    interrupt_at(2)
    assert epslab("train", "--config", "a/config.yaml", "--out", "c").code == 130
    assert Run("c").config["epochs"] == 2
    assert epslab("train", "--out", "c", "--resume").code == 0
    assert written("c") == written("a")

    # A flag holds for the whole run. With 5 epochs from the start, the schedule of the learning rate is another one.
    assert epslab("train", "--config", "a", "--out", "d", "--epochs", 5, "--precision=32").code == 0
    assert "changes" not in Run("d").config
    assert written("d") != written("a")


def test_only_more_epochs_and_the_machine_may_change(
    epslab: Callable[..., Any], refused: Callable[..., str], elsewhere: Path
) -> None:
    assert epslab(*WORDS, "--out", "a", "--epochs", 2).code == 0
    config = Path("a/config.yaml").read_bytes()
    for words, named in (
        (("--learning-rate", 0.5), "another learning rate (0.001 then, 0.5 now)"),
        (("--beta", 2, "--hidden", "[9]"), "another hidden ([8] then, [9] now) and another beta (1.0 then, 2.0 now)"),
        (("--schedule", "constant"), "another schedule (cosine then, constant now)"),
        (("--seed", 1), "another seed (0 then, 1 now)"),
        (("--batch-size", 9), "another batch size (512 then, 9 now)"),
    ):
        said = refused("train", "--out", "a", "--resume", "--epochs", 3, *words)
        assert "'a' cannot be resumed with" in said
        assert f"{named}: only --epochs and the machine may change. Resume with the settings of its" in said
    said = refused("train", "--out", "a", "--resume", "--epochs", 1)
    assert "'a' has trained 2 epochs already, more than --epochs 1; leave that out, or ask for more." in said
    assert Path("a/config.yaml").read_bytes() == config


def test_a_finished_run_says_so_and_trains_nothing(epslab: Callable[..., Any]) -> None:
    assert epslab(*WORDS, "--out", "a", "--epochs", 2).code == 0
    before = {path: path.read_bytes() for path in Path("a").rglob("*") if path.is_file()}
    outcome = epslab("train", "--out", "a", "--resume")
    assert outcome.code == 0
    assert "Nothing to train: 'a' is finished, with 2 epochs." in outcome.err
    assert outcome.out == "`epslab train --out a --resume --epochs N` with a larger N trains on.\n"
    assert {path: path.read_bytes() for path in Path("a").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("epochs", "many", "'epochs' in 'a/config.yaml' is 'many', but must be a whole number."),
        ("epochs", 2.5, "'epochs' in 'a/config.yaml' is '2.5', but must be a whole number."),
        ("epochs", True, "'epochs' in 'a/config.yaml' is 'True', but must be a whole number."),
        ("learning_rate", "fast", "'learning_rate' in 'a/config.yaml' is 'fast', but must be a number or null."),
        ("hidden", 3, "'hidden' in 'a/config.yaml' is '3', but must be a list such as [1, 2]."),
        ("schedule", "coseno", "'schedule' in 'a/config.yaml' is 'coseno', but must be one of constant, cosine,"),
        ("seed", None, "'seed' in 'a/config.yaml' is null, but must be a whole number."),
        ("latent_dims", 3, "Unknown setting 'latent_dims' in 'a/config.yaml'. Did you mean 'latent_dim'?"),
        ("classifies", True, "Unknown setting 'classifies' in 'a/config.yaml'."),
        ("changes", [{"epoch": 1}], "'changes' in 'a/config.yaml' is not as epslab writes it"),
        ("epochs", 0, "--epochs"),
    ],
)
def test_a_configuration_that_cannot_be_says_what_is_wrong_and_where(
    refused: Callable[..., str], key: str, value: Any, sentence: str
) -> None:
    Path("a").mkdir()
    config = {"recipe": "vae", "data": "digits", "seed": 0, "epochs": 1, "provenance": {"image_shape": [1, 8, 8]}}
    Path("a/config.yaml").write_text(yaml.safe_dump({**config, key: value}))
    assert sentence in refused("train", "--config", "a", "--out", "b")
    if key != "changes":
        assert sentence in refused("train", "--out", "a", "--resume")
        assert sentence in refused("evaluate", "a")
    assert [path.name for path in Path().iterdir()] == ["a"]


def test_a_number_that_yaml_takes_for_text_is_a_number(epslab: Callable[..., Any]) -> None:
    Path("mine.yaml").write_text("recipe: vae\nlearning_rate: 1e-3\nepochs: 1\nnet: perceptron\nhidden: [8]\n")
    assert epslab("train", "--config", "mine.yaml", "--out", "a", "--accelerator", "cpu").code == 0
    assert Run("a").config["learning_rate"] == 1e-3


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("vae", "--latent-dim", 1_000_000_000), "is too large: its weights take 6,0"),
        (("vae", "--accelerator", "tpu"), "Unknown accelerator 'tpu'"),
        (("vae", "--devices", 10_000, "--accelerator", "cpu"), "--devices 10000: on CPUs each device is a process"),
        (("vae", "--strategy", "dpp"), "Unknown strategy 'dpp'. Did you mean 'ddp'?"),
        (("vae", "--precision", "17-true"), "Unknown precision '17-true'"),
        (("small-cnn", "--attack-steps", 3, "--norm", "l2"), "--norm l2 and --attack-steps 3 would have no effect"),
        (("small-cnn", "--attack-steps", 3), "add --defence adversarial-loss or --defence adversarial-batch, or leave"),
    ],
)
def test_what_no_machine_can_do_writes_nothing(
    refused: Callable[..., str], elsewhere: Path, words: tuple[Any, ...], sentence: str
) -> None:
    assert sentence in refused("train", *words, "--out", "a", "--data", "digits")
    assert not list(elsewhere.iterdir())
