"""Where an audit goes: which folder is its own, and whether that is free, begun, or done already."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from epslab.attacks import Attack
from epslab.audits.targets import Target
from epslab.errors import UserError
from epslab.evaluation import RadiusSweep
from epslab.evaluation.identity import Identity, identity
from epslab.files import check_folder
from epslab.runs.lock import of_a_lock

Standing = Literal["free", "begun", "done", "other", "foreign"]
"""Of a folder: empty or not there; this audit begun; this audit done; another audit; other things."""
RESULT, BEGUN = "result.json", "evaluation.json"


def identity_of(
    target: Target,
    attacks: Mapping[str, Attack],
    *,
    seed: int = 0,
    sweep: RadiusSweep | None = RadiusSweep(),  # noqa: B008 - frozen
    findings: bool = True,
) -> Identity:
    """What the numbers of this audit depend on: weights, normalisation and code of the model, data, attacks, ….

    Two audits of the same identity give the same numbers. The batch size is not part of it: it changes no more than
    rounding.
    """
    images = target.images
    return identity(target.model, images.images, images.labels, attacks, seed=seed, sweep=sweep, findings=findings)


def standing(folder: Path, wanted: Identity) -> Standing:
    """What a folder is to an audit."""
    if not (folder / BEGUN).is_file():
        held = folder.exists() and (not folder.is_dir() or not all(of_a_lock(path) for path in folder.iterdir()))
        return "foreign" if held else "free"
    if wanted.unlike(folder) is not None:
        return "other"
    return "done" if (folder / RESULT).is_file() else "begun"


def place(parent: Path, name: str, wanted: Identity, *, resume: bool = False) -> Path:
    """The folder of an audit among others: ``parent/name``, or ``parent/name-HASH`` where that holds another audit.

    So an audit of weights that have changed since does not meet the results of the earlier ones.

    Args:
        parent: Where it lies.
        name: What it is called.
        wanted: The audit.
        resume: Prefer an audit that was begun and not finished, so that one that differs is refused, not left behind.
    """
    plain, hashed = parent / name, parent / f"{name}-{wanted.digest[:8]}"
    if standing(plain, wanted) != "other" or (resume and not hashed.exists() and not (plain / RESULT).is_file()):
        return plain
    return hashed


def require_free(folder: Path, wanted: Identity, *, resume: bool, overwrite: bool) -> None:
    """Make sure that an audit may write to a folder; ``overwrite`` empties one that holds an audit.

    Raises:
        UserError: It holds this audit, finished or not, or another one, and neither was asked for; or other things.
    """
    check_folder(folder)
    found = standing(folder, wanted)
    if found == "foreign":
        raise UserError(f"'{folder}' holds other things than an attack; choose another `out=`.")
    if found == "free":
        return
    if overwrite:
        shutil.rmtree(folder)
    elif resume:
        return  # what was begun as something else is refused where the results are read
    elif found == "done":
        raise UserError(
            f"This attack is done already: `epslab report {folder}` shows it, `overwrite=True` runs it once more,"
            " another `out=` keeps both."
        )
    elif found == "begun":
        raise UserError(
            f"'{folder}' holds an attack that was not finished; `resume=True` goes on with it, `overwrite=True` starts"
            " from the beginning."
        )
    else:
        raise UserError(
            f"'{folder}' holds an attack {wanted.unlike(folder)}; choose another `out=`, or replace it with"
            " `overwrite=True`."
        )
