import numpy as np
import pytest
import torch
from PIL import Image

from epslab.data import load
from epslab.errors import UserError


def save(path, values, **kwargs):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, dtype=np.uint8)).save(path, **kwargs)


def grey(value, size=(4, 5)):
    return np.full(size, value)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 10 and 20 grey images [1 4 5], each of one value."""
    for name, values in (("cat", range(10)), ("dog", range(100, 120))):
        for value in values:
            save(tmp_path / "pets" / name / f"{value:03}.png", grey(value))
    return tmp_path / "pets"


def values(image_set):
    return image_set.pixels[:, 0, 0, 0].tolist()


def test_a_stratified_fifth_is_the_test_set(folder):
    train, test = load(str(folder), "train"), load(folder, "test")
    assert train.classes == test.classes == ("cat", "dog")
    assert train.image_shape == (1, 4, 5)
    assert (torch.bincount(train.labels).tolist(), torch.bincount(test.labels).tolist()) == ([8, 16], [2, 4])
    assert sorted(values(train) + values(test)) == [*range(10), *range(100, 120)]
    for part in (train, test):
        assert part.labels.tolist() == [int(value >= 100) for value in values(part)]
    assert load(folder, "train").checksum() == train.checksum()


def test_train_and_test_folders_are_the_splits(tmp_path):
    for half, offset in (("train", 0), ("test", 100)):
        for i, name in enumerate(("b", "a")):
            save(tmp_path / half / name / "x.PNG", grey(offset + i))
    save(tmp_path / "test" / "c" / "x.png", grey(7))
    train, test = load(tmp_path, "train"), load(tmp_path, "test")
    assert train.classes == test.classes == ("a", "b", "c")
    assert (values(train), train.labels.tolist()) == ([1, 0], [0, 1])
    assert (values(test), test.labels.tolist()) == ([101, 100, 7], [0, 1, 2])


def test_train_may_be_a_class(tmp_path):
    for name in ("train", "car"):
        for i in range(5):
            save(tmp_path / name / f"{i}.png", grey(i))
    assert load(tmp_path, "train").classes == ("car", "train")


def test_train_without_test_is_refused(tmp_path):
    save(tmp_path / "train" / "a" / "x.png", grey(0))
    with pytest.raises(UserError, match="both train/ and test/"):
        load(tmp_path, "train")


def test_rgb_keeps_its_channels_and_one_colour_image_makes_all_rgb(folder):
    colour = np.arange(60).reshape(4, 5, 3)
    save(folder / "cat" / "zz.png", colour)
    whole = [load(folder, split) for split in ("train", "test")]
    assert all(part.image_shape == (3, 4, 5) for part in whole)
    pixels = torch.cat([part.pixels for part in whole])
    assert (pixels == torch.from_numpy(colour).permute(2, 0, 1)).flatten(1).all(1).sum() == 1
    greys = (pixels[:, 0] == pixels[:, 1]).flatten(1).all(1)
    assert greys.sum() == 30


def test_jpeg_palette_alpha_and_hidden_files(tmp_path):
    flat = np.full((8, 8, 3), 77)
    for i in range(5):
        save(tmp_path / "a" / f"{i}.jpg", flat, quality=95)
    Image.fromarray(flat.astype(np.uint8)).quantize(4).save(tmp_path / "a" / "palette.png")
    save(tmp_path / "a" / "alpha.png", np.concatenate([flat, np.full((8, 8, 1), 9)], 2))
    (tmp_path / "a" / ".hidden.png").write_bytes(b"no image")
    (tmp_path / "a" / "notes.txt").write_text("no image")
    (tmp_path / ".cache").mkdir()
    train, test = load(tmp_path, "train"), load(tmp_path, "test")
    assert len(train) + len(test) == 7
    assert train.image_shape == (3, 8, 8)
    assert train.pixels.unique().tolist() == [77]


def test_images_of_two_sizes_are_named(folder):
    save(folder / "dog" / "big.png", grey(0, (8, 9)))
    with pytest.raises(UserError, match=r"\d+\.png' is 5×4, '.*big\.png' is 9×8; resize"):
        load(folder, "train")


def test_broken_files_are_named(folder):
    path = folder / "cat" / "000.png"
    whole = path.read_bytes()
    for content in (b"", b"no image", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"000\.png' is no readable image"):
            {split: load(folder, split) for split in ("train", "test")}


def test_a_broken_jpeg_is_named(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(5):
        save(tmp_path / "a" / f"{i}.jpg", rng.integers(256, size=(32, 32)))
        path = tmp_path / "a" / f"{i}.jpg"
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(UserError, match=r"\.jpg' is no readable image"):
        load(tmp_path, "train")


def test_sixteen_bits_are_refused(folder):
    Image.fromarray(np.full((4, 5), 1000, dtype=np.uint16)).save(folder / "cat" / "deep.png")
    with pytest.raises(UserError, match=r"deep\.png' has pixels of type 'I;16'; save it with 8 bits"):
        load(folder, "train")


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(UserError, match="no images by class"):
        load(tmp_path, "train")
    save(tmp_path / "x.png", grey(0))
    with pytest.raises(UserError, match=r"FOLDER/CLASS/\*\.png"):
        load(tmp_path, "train")
    save(tmp_path / "a" / "x.png", grey(0))
    with pytest.raises(UserError, match=r"test split of .* has no images"):
        load(tmp_path, "test")
