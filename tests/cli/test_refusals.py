"""Whatever cannot work ends with exit code 2 and one sentence, and leaves everything on disk as it was."""

import gzip
import pickle
import shutil
import struct
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from epslab.cli import main

TINY = ("--epochs", "1", "--width", "4", "--latent-dim", "2", "--accelerator", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch on digits."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main(["train", "vae", *TINY, "--out", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(trained, elsewhere):
    """The run, to spoil."""
    return Path(shutil.copytree(trained, elsewhere / "run"))


def folder_of_images(folder, side, channels=1, per_class=10):
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        (Path(folder) / name).mkdir(parents=True)
        for i in range(per_class):
            pixels = draw.integers(0, 256, (side, side, 3) if channels == 3 else (side, side), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(folder) / name / f"{i}.png")
    return folder


def mnist(root, content):
    """A root whose MNIST training images are this, and the rest well-formed."""
    folder = Path(root) / "mnist"
    folder.mkdir(parents=True)
    for stem, n in (("train", 60_000), ("t10k", 10_000)):
        labels = struct.pack(">II", 0x801, n) + bytes(n)
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))
    (folder / "t10k-images-idx3-ubyte.gz").write_bytes(content)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
    return root


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("vae", "--data", "digit"), "Did you mean 'digits'?"),
        (("vea",), "Did you mean 'vae'?"),
        (("vae", "--latnt-dim", "3"), "Did you mean '--latent-dim'?"),
        (("vae", "--latent-dim", "three"), "--latent-dim must be a whole number, not 'three'."),
        (("vae", "--latent-dim", "0"), "--latent-dim is 0"),
        (("vae", "--likelihood", "bernouli"), "Did you mean 'bernoulli'?"),
        (("vae", "--beta", "-0.5"), "--beta is -0.5"),
        (("vae", "--devices", "0"), "--devices must be at least 1"),
        (("--config", "nowhere"), "There is no configuration 'nowhere'"),
    ],
)
def test_unknown_names_and_values_out_of_range(nothing_written, words, sentence):
    assert sentence in nothing_written("train", *words)
    assert sentence in nothing_written("train", *words, "--out", "run")


def test_data_that_is_not_there_says_what_to_put_where(nothing_written):
    sentence = nothing_written("train", "vae", *TINY, "--data", "mnist", "--data-root", "empty")
    assert "epslab data fetch mnist" in sentence
    assert "train-images-idx3-ubyte" in sentence


HEADER = struct.pack(">IIII", 0x803, 60_000, 28, 28)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(HEADER + bytes(100)),
        gzip.compress(HEADER + np.random.default_rng(0).bytes(10_000))[:5_000],
        gzip.compress(HEADER)[:-8] + b"12345678",
        b"\x1f\x8bnot gzip at all",
        b"plain nonsense",
        b"",
    ],
    ids=["too few pixels", "cut gzip", "wrong gzip checksum", "no gzip", "no idx", "empty"],
)
def test_a_truncated_or_corrupted_data_file_is_named(nothing_written, content):
    mnist("root", content)
    sentence = nothing_written("train", "vae", *TINY, "--data", "mnist", "--data-root", "root", "--out", "run")
    assert "train-images-idx3-ubyte" in sentence
    assert "train-images-idx3-ubyte" in nothing_written("data", "check", "mnist", "--data-root", "root")


def test_images_of_a_side_below_4_are_refused(nothing_written):
    folder_of_images("small", side=3)
    assert "4" in nothing_written("train", "vae", *TINY, "--data", "small", "--out", "run")


def test_data_of_another_shape_than_the_network_was_trained_for(nothing_written, epslab):
    folder_of_images("images", side=8)
    assert epslab("train", "vae", *TINY, "--batch-size", "4", "--data", "images", "--out", "run").code == 0
    shutil.rmtree("images")
    folder_of_images("images", side=12)
    assert "12" in nothing_written("evaluate", "run")
    assert nothing_written("train", "--out", "run", "--resume", "--epochs", "2")


def test_an_existing_run_is_kept_and_the_ways_out_are_named(nothing_written, copied):
    sentence = nothing_written("train", "vae", *TINY, "--out", copied)
    assert "--resume" in sentence
    assert "--overwrite" in sentence


@pytest.mark.parametrize("flags", [(), ("--overwrite",), ("--resume",)])
def test_a_folder_that_is_no_run_is_never_touched(nothing_written, flags):
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("the only copy")
    assert "thesis" in nothing_written("train", "vae", *TINY, "--out", "thesis", *flags)


def test_a_folder_that_cannot_be_written(nothing_written):
    Path("file").write_text("")
    assert "file/run" in nothing_written("train", "vae", *TINY, "--out", "file/run")


def test_too_little_disk(nothing_written, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    assert "Not enough disk" in nothing_written("train", "vae", *TINY, "--out", "run")


class Payload:
    """Makes a file when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("executed"),))


@pytest.mark.parametrize("content", [b"nonsense", b"", pickle.dumps(Payload())], ids=["nonsense", "empty", "pickle"])
def test_a_checkpoint_that_is_not_one_or_holds_a_pickle(nothing_written, copied, content):
    (copied / "checkpoints" / "last.ckpt").write_bytes(content)
    assert "last.ckpt" in nothing_written("train", "--out", copied, "--resume", "--epochs", "2")


def test_a_checkpoint_with_a_pickle_inside_torchs_archive(nothing_written, copied):
    import torch

    torch.save({"state_dict": Payload()}, copied / "checkpoints" / "last.ckpt")
    assert "last.ckpt" in nothing_written("train", "--out", copied, "--resume", "--epochs", "2")
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", [b"nonsense", b"", pickle.dumps(Payload())], ids=["nonsense", "empty", "pickle"])
@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_weights_that_are_not_safetensors(nothing_written, copied, verb, content):
    (copied / "model.safetensors").write_bytes(content)
    assert "model.safetensors" in nothing_written(verb, copied)


@pytest.mark.parametrize("verb", ["evaluate", "sample"])
def test_a_run_without_weights(nothing_written, copied, verb):
    (copied / "model.safetensors").unlink()
    assert "weights" in nothing_written(verb, copied)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--importance-samples", "0"), "--importance-samples is 0, but must be 1 or more, or null."),
        (("--prior-samples", "-3"), "--prior-samples is -3, but must be 1 or more, or null."),
        (("--samples", "0"), "--samples is 0, but must be 1 or more."),
        (("--limit", "0"), "--limit must be at least 1, not 0."),
        (("--split", "tset"), "Did you mean 'test'?"),
    ],
)
def test_estimates_need_at_least_one_draw(nothing_written, copied, words, sentence):
    assert sentence in nothing_written("evaluate", copied, *words)


@pytest.mark.parametrize("verb", ["evaluate", "sample", "report"])
@pytest.mark.parametrize("folder", ["nowhere", "empty"])
def test_a_folder_that_is_no_run(nothing_written, verb, folder):
    Path("empty").mkdir()
    assert folder in nothing_written(verb, folder)


def test_a_run_whose_configuration_is_spoilt(nothing_written, copied):
    (copied / "config.yaml").write_text("a: [")
    for verb in ("evaluate", "sample", "report"):
        assert "config.yaml" in nothing_written(verb, copied)


def test_a_sample_needs_an_image_and_a_place(nothing_written, copied):
    assert "-n must be at least 1" in nothing_written("sample", copied, "-n", "0")
    Path("file").write_text("")
    assert "--out" in nothing_written("sample", copied, "--out", "file/picture.png")


@pytest.mark.parametrize(
    ("verb", "out", "sentence"),
    [
        ("report", "run/model.safetensors", "does not end in .html or .htm; give --out a name"),
        ("report", "run/figures/index.html", "keeps for itself; choose another --out"),
        ("report", "run", "is a folder; give --out"),
        ("report", "a" * 300 + ".html", "has 305 letters"),
        ("sample", "run/config.yaml", "does not end in .png"),
        ("sample", "run/figures/samples-epoch-0000.png", "keeps for itself"),
        ("sample", "x.txt", "e.g. 'x.png'"),
        ("sample", "b" * 300 + ".png", "has 304 letters"),
    ],
)
def test_a_runs_own_files_are_never_written_over(nothing_written, copied, verb, out, sentence):
    assert sentence in nothing_written(verb, "run", "--out", out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("lst",), "Did you mean 'list'?"),
        (("fetch",), "epslab data fetch NAME"),
        (("fetch", "minst"), "Did you mean 'mnist'?"),
        (("check", "minst"), "Did you mean 'mnist'?"),
        (("check", "mnist", "--data-root", "empty"), "is missing"),
        ((), "needs"),
    ],
)
def test_data_says_what_it_takes(nothing_written, words, sentence):
    assert sentence in nothing_written("data", *words)


@pytest.mark.parametrize("verb", [("tour",), ("tour", "--overwrite"), ("study", "divergences")])
def test_studies_go_into_no_folder_with_other_things(nothing_written, verb):
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").write_text("the only copy")
    assert "('chapter.tex'); choose a new folder, or another --out" in nothing_written(*verb, "--out", "thesis")


@pytest.mark.parametrize("verb", [("tour",), ("study", "vae"), ("train", "vae", *TINY), ("train", "vae", "--resume")])
def test_a_name_too_long_for_the_disk(nothing_written, verb):
    sentence = nothing_written(*verb, "--out", "a" * 300)
    assert "has 300 letters, more than a disk takes" in sentence or "File name too long" in sentence


@pytest.mark.parametrize("out", [(), ("--out", "picture.png")])
def test_a_picture_of_a_million_samples_is_refused_and_a_file_holds_them(nothing_written, copied, out):
    sentence = nothing_written("sample", copied, "-n", "1000000", *out)
    assert "at most 10,000 samples, not 1,000,000; give --out a file that ends in .npy" in sentence
