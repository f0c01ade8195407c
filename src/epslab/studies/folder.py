"""The folder of studies: one folder a study, the runs they share, and the tour's page."""

from pathlib import Path

from epslab.errors import UserError
from epslab.files import check_folder
from epslab.runs.lock import of_a_lock
from epslab.studies.names import NAMES

RUNS, PAGE, FOUND, RESULT = "runs", "report.html", "found", "result.json"
CONTENT = (FOUND, RESULT, PAGE, "attacked", "figures", "tables")
"""What a study, or a report on it, writes into its folder."""


def require_studies(out: Path) -> None:
    """Check that studies may be written into a folder: it is new, empty, or holds studies.

    What the user put beside the studies does not matter, unless it has the name of a study or of what a tour writes.

    Raises:
        UserError: It holds other things, or cannot be written.
    """
    check_folder(out)
    entries = [entry for entry in sorted(out.glob("*")) if not entry.name.startswith(".")] if out.is_dir() else []
    studies = [entry for entry in entries if entry.name not in (RUNS, PAGE) and _is_study(entry)]
    ours = {*studies, *((out / RUNS, out / PAGE) if studies or (out / RUNS).is_dir() else ())}
    for entry in entries:
        if entry not in ours and (entry.name in (*NAMES, RUNS, PAGE) or not studies):
            raise UserError(
                f"'{out}' holds other things than studies ('{entry.name}'); choose a new folder, or another `out=`."
            )


def _is_study(folder: Path) -> bool:
    """Whether a folder is a study's, finished or not; notes the user put beside the result do not matter."""
    if not folder.is_dir() or (folder / "config.yaml").exists():  # a run
        return False
    if any((folder / mark).exists() for mark in (FOUND, RESULT)):
        return True
    return folder.name in NAMES and {entry.name for entry in folder.iterdir() if not of_a_lock(entry)} <= {*CONTENT}
