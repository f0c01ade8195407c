"""Train, measure and ask every study at quick scale, on one page."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from epslab.cli.flags import Data, add_machine
from epslab.cli.folders import RUNS
from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary


def run(arguments: Sequence[str]) -> None:
    """Take the tour, and print where its page is.

    Raises:
        UserError: The data cannot be read, or the folder cannot be used.
    """
    parser = Parser(
        "tour",
        "Run every study at quick scale and write one page. What an earlier tour there measured is not measured again.",
        "epslab tour --data digits",
    )
    parser.add_class_arguments(Data)
    group = parser.add_argument_group("Tour")
    group.add_argument("--out", type=str, default=str(RUNS / "tour"), metavar="DIR", help="folder of studies and page")
    group.add_argument(
        "--overwrite",
        action="store_true",
        help="delete the studies an earlier tour left there and the runs they trained",
    )
    add_machine(parser)
    values = parser.read(arguments)
    out = Path(values.pop("out"))
    from epslab.runs import number
    from epslab.studies import tour
    from epslab.studies.folder import require_studies

    require_studies(out)
    if values.pop("overwrite"):
        _clear(out)

    root = values.pop("data_root")
    page = tour(out=out, data_root=None if root is None else Path(root), **values)
    size = f"{number(page.stat().st_size / 1e6)} MB"
    facts = {"page": f"{page} ({size}, one file: open it in a browser, or send it)"}
    summary("The tour is done", facts, [*enter_environment(), *_NEXT])


_NEXT = (
    "epslab train small-cnn --data digits --out runs/first   # a run of your own; `epslab train --help` lists models",
    "epslab attack runs/first --radius 0.1",
    "epslab report runs/first",
)
"""What to type after a tour."""


def enter_environment() -> list[str]:
    """The command that puts ``epslab`` on the path; none where it is there already."""
    if shutil.which("epslab") is not None or sys.prefix == sys.base_prefix:
        return []
    scripts = Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin")
    here = scripts.relative_to(Path.cwd()) if scripts.is_relative_to(Path.cwd()) else scripts
    activate = str(here / "activate") if os.name == "nt" else f"source {shlex.quote(str(here / 'activate'))}"
    return [f"{activate}   # or type {here / 'epslab'} in place of epslab"]


def _clear(out: Path) -> None:
    """Delete the studies in ``out`` and the runs inside it that they name: nothing that a tour did not write."""
    from epslab.errors import UserError
    from epslab.report import StudyResult
    from epslab.runs import Run
    from epslab.studies import NAMES

    for study in (out / name for name in NAMES):
        shutil.rmtree(study / "found", ignore_errors=True)
        try:
            runs = StudyResult.load(study).runs
        except UserError:
            continue
        for folder in runs:
            if folder.resolve().is_relative_to(out.resolve()) and Run(folder).exists():
                shutil.rmtree(folder)
        _remove(study)


def _remove(study: Path) -> None:
    """Delete what a study wrote, and its folder if nothing else is left in it."""
    from epslab.studies.folder import CONTENT

    for path in (study / name for name in CONTENT):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    if not any(study.iterdir()):
        study.rmdir()
