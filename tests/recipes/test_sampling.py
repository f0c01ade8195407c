"""Samples by the batch, into a tensor and into a file."""

import errno
import os
import shutil
from collections import namedtuple

import numpy as np
import pytest
import torch

from epslab import recipes
from epslab.errors import UserError
from epslab.recipes import VAERecipe, sampling


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    settings = VAERecipe(net="perceptron", hidden=(8,), latent_dim=2, epochs=1, sample_epochs=())
    return recipes.train(settings, out=tmp_path_factory.mktemp("trained") / "run", progress=False)


def test_a_file_holds_the_samples_in_bytes(run, tmp_path):
    drawn = recipes.sample(run, 600, seed=3)
    file = recipes.write_samples(run, 600, tmp_path / "new" / "samples.npy", seed=3)
    found = np.load(file, mmap_mode="r")
    assert (found.shape, found.dtype) == ((600, 1, 8, 8), np.uint8)
    assert np.array_equal(found, (drawn * 255).round().byte().numpy())
    assert [path.name for path in file.parent.iterdir()] == ["samples.npy"]


def test_means_are_drawn_in_batches_too(run, tmp_path):
    found = np.load(recipes.write_samples(run, 300, tmp_path / "means.npy", means=True))
    assert np.array_equal(found, (recipes.sample(run, 300, means=True) * 255).round().byte().numpy())
    assert len(np.unique(found)) > 16


def test_no_batch_is_drawn_twice_and_the_first_do_not_depend_on_the_number(run):
    few, many = recipes.sample(run, 256), recipes.sample(run, 700)
    assert torch.equal(few, many[:256])
    assert not torch.equal(many[:256], many[256:512])
    assert [len(batch) for batch in recipes.samples(run, 700)] == [256, 256, 188]


def test_the_model_is_never_asked_for_more_than_a_batch(run, monkeypatch):
    asked = []
    plan = sampling.planned_with_weights(run)

    def draw(n, generator):
        asked.append(n)
        assert not torch.is_grad_enabled()
        return torch.zeros(n, 1, 8, 8)

    monkeypatch.setattr(sampling, "planned_with_weights", lambda *_: type(plan)(plan.model, plan.turns, sample=draw))
    drawn = recipes.samples(run, 10**9)
    next(drawn)
    assert asked == [256]


def test_points_are_floats(run, tmp_path, monkeypatch):
    plan = sampling.planned_with_weights(run)
    monkeypatch.setattr(
        sampling,
        "planned_with_weights",
        lambda *_: type(plan)(plan.model, plan.turns, sample=lambda n, g: torch.randn(n, 2, generator=g)),
    )
    found = np.load(recipes.write_samples(run, 300, tmp_path / "points.npy", seed=1))
    assert found.dtype == np.float32
    assert np.array_equal(found, recipes.sample(run, 300, seed=1).numpy())


def test_what_cannot_be_written_leaves_nothing(run, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"does not end in \.npy"):
        recipes.write_samples(run, 3, tmp_path / "samples.txt")
    with pytest.raises(UserError, match="keeps for itself"):
        recipes.write_samples(run, 3, run.folder / "figures" / "samples.npy")
    with pytest.raises(UserError, match="at least 1"):
        recipes.write_samples(run, 0, tmp_path / "samples.npy")
    with monkeypatch.context() as patched:
        usage = namedtuple("usage", "total used free")
        patched.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**6))
        with pytest.raises(UserError, match="a file of 1,000,000 samples needs 64 MB"):
            recipes.write_samples(run, 10**6, tmp_path / "samples.npy")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"samples\.npy"):
        recipes.write_samples(run, 3, tmp_path / "samples.npy")
    assert not list(tmp_path.iterdir())
