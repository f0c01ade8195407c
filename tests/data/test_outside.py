"""Data sets from outside: by import path, and by the name that an installed package gives them."""

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from epslab import data
from epslab.data import ImageSet, PointSet
from epslab.errors import UserError

MODULE = """
import torch
from epslab.data import ImageSet, PointSet

def stripes(split):
    n = {"train": 12, "test": 4}[split]
    pixels = (torch.arange(n) % 2 * 255).to(torch.uint8)[:, None, None, None].expand(n, 1, 8, 8).contiguous()
    return ImageSet(pixels, torch.arange(n) % 2, ("dark", "bright"))

def cross(split):
    return PointSet(torch.eye(2).repeat(3 if split == "train" else 1, 1))

def nothing(split):
    return [1, 2]
"""


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module in the working folder, and a package that brings a data set of it by name."""
    (tmp_path / "outside_sets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    point = EntryPoint("stripes", "outside_sets:stripes", "epslab.data")
    monkeypatch.setattr("epslab.names.entry_points", lambda group: [point] if group == "epslab.data" else [])


@pytest.mark.parametrize("name", ["stripes", "outside_sets:stripes"])
def test_a_set_of_images_is_loaded_by_name(name: str) -> None:
    train, test = (data.load(name, split) for split in ("train", "test"))
    assert isinstance(train, ImageSet)
    assert (len(train), len(test)) == (12, 4)
    assert train.image_shape == (1, 8, 8)
    with pytest.raises(UserError, match="Unknown split 'validation'"):
        data.load(name, "validation")


def test_a_set_of_points_is_loaded_as_examples() -> None:
    points = data.load_examples("outside_sets:cross")
    assert isinstance(points, PointSet)
    assert len(points) == 6
    with pytest.raises(UserError, match=r"'outside_sets:cross' holds no images; load it by .*load_examples"):
        data.load("outside_sets:cross")


def test_what_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gave list for 'train'; its function must return an ImageSet or a PointSet"):
        data.load("outside_sets:nothing")
    with pytest.raises(UserError, match="has no 'stripe'"):
        data.load("outside_sets:stripe")
    with pytest.raises(UserError, match=r"Unknown data set 'strypes'\. Did you mean 'stripes'.*package\.module:name"):
        data.load("strypes")
    # What a package brings wins over a folder; a built-in name over both.
    (tmp_path / "stripes").mkdir()
    assert len(data.load("stripes")) == 12
