"""Names: built in, brought by packages, or import paths; nothing is imported before it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

from epslab.errors import UserError
from epslab.names import Names


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder; modules imported from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def install(site: Path, package: str, points: str) -> None:
    """What pip leaves of a package: its entry points."""
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)


@pytest.fixture
def toys(here: Path, monkeypatch: pytest.MonkeyPatch) -> Names:
    """Shapes of which one is built in and three are brought by a package."""
    site = here / "site"
    install(
        site,
        "toys",
        "[epslab.shapes]\nring = toy_shapes:Ring\nbroken = toy_shapes:Nothing\ncounter = toy_shapes:Ring\n"
        "needy = toy_needy:Ring\n",
    )
    (site / "toy_shapes.py").write_text("class Ring:\n    sides = 0\n")
    (site / "toy_needy.py").write_text("import not_there_at_all\n")
    monkeypatch.syspath_prepend(site)
    return Names("epslab.shapes", {"counter": "collections:Counter"})


def test_names_are_built_in_then_brought(toys: Names) -> None:
    assert list(toys) == ["counter", "broken", "needy", "ring"]
    assert len(toys) == 4
    assert "toy_shapes" not in sys.modules
    assert toys["ring"].sides == 0
    assert (toys.origin("ring"), toys.origin("counter")) == ("toys 1.0", "")


def test_a_package_does_not_hide_what_is_built_in(toys: Names) -> None:
    from collections import Counter

    assert toys["counter"] is Counter


def test_import_paths_work_from_the_working_folder(toys: Names, here: Path) -> None:
    (here / "mine_here.py").write_text("class Cube:\n    class Side: pass\n")
    path = list(sys.path)
    assert toys["mine_here:Cube"].__name__ == "Cube"
    assert toys["mine_here:Cube.Side"].__name__ == "Side"
    assert sys.path == path
    assert "mine_here:Cube" in toys


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("rings", "Unknown shape 'rings'. Did you mean 'ring'? Known: broken, counter, needy, ring."),
        ("no/path:x", "Unknown shape 'no/path:x'."),
        ("nowhere_at_all:x", "There is no module 'nowhere_at_all' here"),
        ("collections:counter", "'collections' has no 'counter'; it has ChainMap, Counter, "),
        ("broken", "The shape 'broken' of the package 'toys 1.0' cannot be used: 'toy_shapes' has no 'Nothing'; mend"),
        ("needy", "The shape 'needy' of the package 'toys 1.0' cannot be used: 'toy_needy' needs 'not_there_at_all',"),
    ],
)
def test_what_cannot_be_loaded_gets_one_sentence(toys: Names, name: str, sentence: str) -> None:
    with pytest.raises(UserError) as error:
        toys[name]
    assert str(error.value).startswith(sentence)


def test_it_is_a_mapping(toys: Names) -> None:
    assert toys.get("rings") is None
    assert "rings" not in toys
    assert toys.keys() == {"counter", "broken", "needy", "ring"}


def test_the_same_name_from_two_packages_is_refused(toys: Names, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(here / "other", "rivals", "[epslab.shapes]\nring = rival_shapes:Ring\n")
    monkeypatch.syspath_prepend(here / "other")
    with pytest.raises(UserError, match=r"The shape 'ring' comes from '(toys|rivals) 1.0' and '(toys|rivals) 1.0';"):
        toys["ring"]


def test_names_load_without_torch() -> None:
    code = "import sys, epslab.names; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
