from pathlib import Path

import pytest

from epslab.cli.folders import automatic, writable_file
from epslab.errors import UserError


def make(*names):
    for name in names:
        (Path("runs") / name).mkdir(parents=True)


def test_numbered_where_it_exists():
    assert automatic("vae-digits") == Path("runs/vae-digits")
    make("vae-digits")
    assert automatic("vae-digits") == Path("runs/vae-digits-2")
    make("vae-digits-2")
    assert automatic("vae-digits") == Path("runs/vae-digits-3")


def test_resume_takes_the_last_and_overwrite_the_first():
    assert automatic("vae-digits", resume=True) == Path("runs/vae-digits")
    make("vae-digits", "vae-digits-2")
    assert automatic("vae-digits", resume=True) == Path("runs/vae-digits-2")
    assert automatic("vae-digits", overwrite=True) == Path("runs/vae-digits")


def test_a_writable_file_is_not_made():
    assert writable_file("new/folder/picture.png") == Path("new/folder/picture.png")
    assert not Path("new").exists()


@pytest.mark.parametrize("path", [".", "file/picture.png"])
def test_a_folder_or_a_place_below_a_file_cannot_be_written(path):
    Path("file").write_text("")
    with pytest.raises(UserError, match="--out"):
        writable_file(path)
