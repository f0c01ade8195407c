"""List runs with their results and sizes; delete the checkpoints that finished ones no longer need."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from epslab.cli.folders import RUNS
from epslab.cli.parsing import Parser
from epslab.cli.terminal import summary, table
from epslab.errors import UserError

if TYPE_CHECKING:
    from epslab.runs import Run


def run(arguments: Sequence[str]) -> None:
    """Print a table of the runs, or clean them up.

    Raises:
        UserError: There is no such folder or no run in it, or nobody can be asked before files are deleted.
    """
    parser = Parser(
        "runs",
        "List the runs in a folder: what was trained on what for how long, the result, the size. A result that was"
        " measured with earlier weights is marked as out of date.",
        "epslab runs runs/tour --clean",
    )
    where = f"folder of runs, at any depth (default: {RUNS})"
    parser.add_argument("folder", nargs="?", type=str, default=str(RUNS), metavar="FOLDER", help=where)
    clean = (
        "delete the checkpoints of finished runs, after a question; weights, numbers, curves and pictures stay, but"
        " such a run can no longer be trained for more epochs"
    )
    parser.add_argument("--clean", action="store_true", help=clean)
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    values = parser.read(arguments)
    folder = Path(values["folder"])
    from epslab.runs.cleaning import runs_in

    if not folder.is_dir():
        raise UserError(f"'{folder}' is not a folder; give one that holds runs, as `epslab train` writes them.")
    found = [*runs_in(folder)]
    if not found:
        raise UserError(f"There is no run in '{folder}'; `epslab train` and `epslab tour` write runs.")
    if values["clean"]:
        _clean(found, asked=values["yes"])
    else:
        _list(found, folder)


def _list(found: Sequence["Run"], folder: Path) -> None:
    """One line per run, and what all of them take."""
    from epslab.runs.cleaning import checkpoint_size, droppable, size

    columns = ("run", "model", "data", "epochs", "MB", "result")
    table(f"Runs in {folder}", columns, [_row(run, folder) for run in found])
    print()
    spare = sum(checkpoint_size(run) for run in found if _readable(run) and droppable(run))
    facts = {"size": f"{_megabytes(size(folder))} MB with all that is in the folder"}
    then = []
    if spare:
        facts["to spare"] = f"{_megabytes(spare)} MB: checkpoints of finished runs"
        then = [f"epslab runs {shlex.quote(str(folder))} --clean"]
    summary(f"{len(found)} {'run' if len(found) == 1 else 'runs'}", facts, then)


def _row(run: "Run", folder: Path) -> list[str]:
    from epslab.runs.cleaning import size

    name = str(run.folder.relative_to(folder)) if run.folder != folder else run.folder.absolute().name
    megabytes = _megabytes(size(run.folder))
    try:
        config = run.config
        about = config.get("provenance") or {}
        model = str(config.get("recipe") or about.get("model") or "")
        data = str(config.get("data") or about.get("dataset") or "")
        asked = config.get("epochs")
        epochs = str(run.epochs) if run.epochs == asked or asked is None else f"{run.epochs} of {asked}"
        return [name, model, Path(data).name, epochs, megabytes, _result(run)]
    except UserError as error:
        return [name, "", "", "", megabytes, str(error)]


def _result(run: "Run") -> str:
    """The headline, whether it is out of date, and whether training is over."""
    from epslab.report import headline

    status = run.result().get("status")
    stale = run.stale()
    if stale is not None:
        said = "out of date: measured before its weights or settings changed"
    else:
        said = headline(run) or (best.text if (best := run.best()) is not None else "not measured yet")
    if status in ("running", "interrupted"):
        busy = status == "running" and (run.folder / ".lock").exists()
        return f"{'in training' if busy else 'stopped, can be resumed'}; {said}"
    return f"training failed; {said}" if status == "failed" else said


def _clean(found: Sequence["Run"], *, asked: bool) -> None:
    """Delete checkpoints of finished runs.

    Raises:
        UserError: Nobody can be asked.
    """
    from epslab.runs.cleaning import checkpoint_size, drop_checkpoints, droppable

    spare = [run for run in found if _readable(run) and droppable(run)]
    if not spare:
        summary("Nothing to clean", {"runs": f"{len(found)}, none of which is finished and has checkpoints"})
        return
    megabytes = _megabytes(sum(map(checkpoint_size, spare)))
    runs = f"{len(spare)} finished {'run' if len(spare) == 1 else 'runs'}"
    if not asked and not _agreed(f"Delete the checkpoints of {runs}, {megabytes} MB?"):
        summary("Nothing was deleted", {})
        return
    freed, kept = 0, {}
    for run in spare:
        try:
            freed += drop_checkpoints(run)
        except UserError as error:
            kept[f"kept {run.folder.name}"] = str(error)
    summary(f"Freed {_megabytes(freed)} MB: checkpoints of {len(spare) - len(kept)} of {runs}", kept)


def _agreed(question: str) -> bool:
    """Ask on the terminal.

    Raises:
        UserError: There is none.
    """
    from rich.console import Console
    from rich.prompt import Confirm

    if not sys.stdin.isatty():
        raise UserError("--clean asks before it deletes, and nobody can answer here; give --yes.")
    return Confirm.ask(question, default=False, console=Console(stderr=True))


def _readable(run: "Run") -> bool:
    try:
        run.result()
    except UserError:
        return False
    return True


def _megabytes(size: int) -> str:
    from epslab.runs import number

    return number(round(size / 1e6) if size >= 1e8 else size / 1e6)
