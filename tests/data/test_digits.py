import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from epslab.data import check, digits, fetch, load, quantise
from epslab.data.official import DIFFERS


def test_lengths_shapes_and_determinism():
    train, test = load("digits", "train"), load("digits", "test")
    assert (len(train), len(test)) == (1437, 360)
    assert train.image_shape == (1, 8, 8)
    assert train.classes == tuple("0123456789")
    assert load("digits").checksum() == train.checksum()
    # The split is part of every number reported on digits: it must never move.
    assert train.checksum() == "sha256:49b92a1800d6cb5be15a0fdbf1aa51f5aed1f3f65a23451f31c3086337fc7cb5"
    assert test.checksum() == "sha256:8ec0bf73d2f48cf363d3f923e7d8e963302c1e0188e05ae5632e52b43cfb9262"


def test_splits_partition_scikit_learns_digits_in_equal_shares():
    train, test = load("digits", "train"), load("digits", "test")
    whole = load_digits()
    pixels = torch.cat([train.pixels, test.pixels]).flatten(1)
    values = (pixels.long() * 16) // 255  # the inverse of ⌈255·v/16⌉
    rows = np.concatenate([values.numpy(), torch.cat([train.labels, test.labels]).numpy()[:, None]], 1)
    official = np.concatenate([whole.data.astype(np.int64), whole.target[:, None]], 1)
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, official.tolist()))
    shares = torch.bincount(torch.tensor(whole.target)).double() * 360 / 1797
    assert (torch.bincount(test.labels) - shares).abs().max() < 1


def test_all_17_levels_survive():
    pixels = torch.cat([load("digits", split).pixels for split in ("train", "test")])
    assert pixels.unique().tolist() == [-(-255 * v // 16) for v in range(17)]
    for v, pixel in enumerate(pixels.unique()):
        x = pixel.to(torch.float32) / 255
        assert int(quantise(x, 16)) == min(v, 15)


def test_check_compares_the_content(monkeypatch):
    (status,) = check("digits")
    assert status.state == "ok"
    assert status.path.is_file()
    assert fetch("digits") == [status]
    values, labels = digits._values()
    values[3, 2, 1] ^= 1
    monkeypatch.setattr(digits, "_values", lambda: (values, labels))
    assert [status.state for status in check("digits")] == ["differs"]
    with pytest.warns(UserWarning, match=DIFFERS):
        load("digits")
