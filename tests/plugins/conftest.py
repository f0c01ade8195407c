"""A package that is installed for these tests only: its modules can be imported and its entry points are found."""

import os
import sys
import tomllib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent / "package"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folders that make the package importable: its own, and one with its entry points."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    folder = tmp_path_factory.mktemp("site")
    info = folder / f"epslab_toys-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = [
        f"[{group}]\n" + "".join(f"{name} = {path}\n" for name, path in points.items())
        for group, points in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(groups))
    return [str(folder), str(PACKAGE)]


@pytest.fixture(scope="module", autouse=True)
def installed(site):
    """The package, in this process and in those it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for folder in reversed(site):
            patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([*site, *filter(None, [os.environ.get("PYTHONPATH")])]))
        yield
        for name in [name for name in sys.modules if name.startswith("epslab_toys")]:
            del sys.modules[name]
