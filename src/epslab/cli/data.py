"""List the data sets, check their files, or fetch them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epslab.cli.flags import Data
from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary, table
from epslab.errors import UserError, unknown

if TYPE_CHECKING:
    from epslab.data import FileStatus

_ACTIONS = ("list", "check", "fetch")


def run(arguments: Sequence[str]) -> None:
    """List, check or fetch the data sets, and print their states.

    Raises:
        UserError: An unknown action or data set, or a file that is missing, corrupt or could not be fetched.
    """
    parser = Parser("data", "List the data sets, check their files, or fetch them.", "epslab data fetch mnist")
    parser.add_argument(
        "action",
        type=str,
        metavar="list|check|fetch",
        help="list: all data sets and where they are; check: compare every file with the official release; fetch:"
        " download",
    )
    name = "{data_sets}; check also takes a folder of images; without NAME it checks all"
    parser.add_argument("name", nargs="?", type=str | None, metavar="NAME", help=name)
    parser.add_class_arguments(Data, skip={"data", "seed"})
    values = parser.read(arguments)
    action, name, root = values["action"], values["name"], values["data_root"]
    if action not in _ACTIONS:
        raise unknown("action", action, _ACTIONS)
    if action == "list":
        if name is not None:
            raise UserError(f"`epslab data list` lists all data sets; leave '{name}' out.")
        _list(root)
    elif action == "check":
        _check(name, root)
    elif name is None:
        raise UserError("Fetch which data set? Type `epslab data fetch NAME`; `epslab data list` shows the names.")
    else:
        _fetch(name, root)


def _list(root: str | None) -> None:
    from epslab import data

    rows = []
    for entry in data.overview(root):
        shape = "×".join(str(side) for side in entry.shape) if len(entry.shape) > 1 else f"{entry.shape[0]}-D points"
        size = f"{entry.disk / 1e6:,.0f}" if entry.disk else ""
        place = str(data.root(root)) if entry.present else f"not here: epslab data fetch {entry.name}"
        counts = (f"{entry.train:,}", f"{entry.test:,}", shape, str(entry.classes or ""), size)
        rows.append((entry.name, *counts, entry.origin or place))
    rows += [(name, "", "", "", "", "", f"comes with {data.OUTSIDE.origin(name)}") for name in data.OUTSIDE]
    table("Data sets", ("name", "train", "test", "c×h×w", "classes or modes", "MB", "where it is"), rows)


def _check(name: str | None, root: str | None) -> None:
    from epslab import data

    if name is not None and name not in data.NAMES and Path(name).expanduser().is_dir():
        lengths = {split: f"{len(data.load(name, split)):,} images, all readable" for split in ("train", "test")}
        summary(f"Checked {name}", lengths)
        return
    names = [_with_files(name)] if name else [entry.name for entry in data.overview(root) if entry.present]
    verdicts = [(each, status) for each in names for status in data.check(each, root)]
    _show(verdicts)
    for each, status in verdicts:
        if status.state in ("missing", "corrupt"):
            raise UserError(
                f"'{status.path}' is {status.state}: run `epslab data fetch {each}`, or put the file there."
            )


def _fetch(name: str, root: str | None) -> None:
    from epslab import data

    _show([(name, status) for status in data.fetch(_with_files(name), root)])


def _with_files(name: str) -> str:
    """The name, of a data set that is kept in files.

    Raises:
        UserError: Its examples are drawn when they are loaded.
    """
    from epslab import data

    if name in data.DRAWN:
        raise UserError(f"'{name}' is drawn by epslab when it is used: there are no files to check or fetch.")
    return name


def _show(verdicts: Sequence[tuple[str, "FileStatus"]]) -> None:
    rows = [
        (each, status.state, " — ".join(filter(None, (str(status.path), status.note)))) for each, status in verdicts
    ]
    table("Files", ("data set", "state", "file"), rows)
