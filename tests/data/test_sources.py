from pathlib import Path

import platformdirs
import pytest
import torch

from epslab import data
from epslab.errors import UserError


def test_the_root_is_the_argument_then_the_variable_then_the_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("EPSLAB_DATA", str(tmp_path / "variable"))
    assert data.root(tmp_path) == tmp_path
    assert data.root("~/here") == Path.home() / "here"
    assert data.root() == tmp_path / "variable"
    for unset in ("", None):
        if unset is None:
            monkeypatch.delenv("EPSLAB_DATA")
        else:
            monkeypatch.setenv("EPSLAB_DATA", unset)
        assert data.root() == Path(platformdirs.user_cache_dir("epslab"))


def test_names_and_overview(tmp_path):
    assert data.NAMES == ("digits", "mnist", "fashion-mnist", "cifar10", *data.DRAWN)
    assert data.DRAWN == ("shapes", "ring", "grid", "two-moons", "swiss-roll")
    rows = {row.name: row for row in data.overview(tmp_path)}
    assert tuple(rows) == data.NAMES
    assert [row.present for row in rows.values()] == [True, False, False, False, True, True, True, True, True]
    cifar10 = rows["cifar10"]
    assert (cifar10.train, cifar10.test, cifar10.shape, cifar10.classes) == (50_000, 10_000, (3, 32, 32), 10)
    assert cifar10.disk == 6 * 30_730_000
    assert (rows["mnist"].train, rows["mnist"].test, rows["mnist"].shape) == (60_000, 10_000, (1, 28, 28))
    assert rows["digits"].disk == 0
    assert [row.classes for row in rows.values()] == [10, 10, 10, 10, 3, 8, 25, 0, 0]
    assert {row.name for row in rows.values() if row.origin} == {"digits", *data.DRAWN}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [data.load, data.check, data.fetch])
def test_unknown_names_are_refused_with_the_nearest(call):
    with pytest.raises(
        UserError, match=r"Unknown data set 'minst'\. Did you mean 'mnist'\?.*path of an existing folder"
    ):
        call("minst")


def test_unknown_splits_are_refused():
    with pytest.raises(UserError, match=r"Unknown split 'validation'.*test, train"):
        data.load("digits", "validation")


def test_a_name_wins_over_a_folder_of_that_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert len(data.load("digits")) == 1437
    with pytest.raises(UserError, match="no images"):
        data.load("./digits")


def test_missing_data_says_what_to_put_where(tmp_path):
    for name, file in (("mnist", "t10k-labels-idx1-ubyte.gz"), ("cifar10", "cifar-10-binary.tar.gz")):
        with pytest.raises(UserError, match=rf"epslab data fetch {name}.*{file}.*EPSLAB_DATA"):
            data.load(name, "test", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_loading_leaves_torchs_random_numbers_alone():
    state = torch.get_rng_state()
    data.load("digits").split([100, 100], 0)
    data.binarise(data.load("digits").take(10, 0), "static")
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("name", "modes"), [("ring", 8), ("grid", 25), ("two-moons", None), ("swiss-roll", None)])
def test_points_by_name_are_the_same_at_every_load(name, modes):
    state = torch.get_rng_state()
    train, again, test = (data.load_examples(name, split) for split in ("train", "train", "test"))
    assert torch.equal(state, torch.get_rng_state())
    assert (len(train), len(test), train.shape, train.name) == (10_000, 2_500, (2,), name)
    assert train.checksum() == again.checksum()
    assert not (train.points[:2_500] == test.points).any()
    if modes is None:
        assert train.modes is None
        assert train.labels is None
    else:
        assert torch.bincount(test.labels).shape == (modes,) == (len(train.modes),)
        # The offsets have the modes' standard deviation: the variance of 20,000 coordinates.
        offsets = (train.points - train.modes.centres[train.labels]).double()
        assert abs(offsets.square().mean() / train.modes.std**2 - 1) <= 4 * (2 / 20_000) ** 0.5
        part = train.split([100, 100], 0)[1][:3].to("cpu")
        assert part.modes is train.modes
    assert data.check(name) == data.fetch(name) == []
    with pytest.raises(UserError, match=f"'{name}' holds no images; load it by .*load_examples"):
        data.load(name)
