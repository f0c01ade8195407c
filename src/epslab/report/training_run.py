"""A section of a page about a run: the result, its curves and pictures, how to repeat it.

The folder describes itself: nothing here knows a model, a measurement or a picture by name.
"""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from epslab import figures
from epslab.report.blocks import Picture, Section
from epslab.report.measured import headline, numbers
from epslab.runs import Run, Table, norm_text
from epslab.training.changes import CHANGES, TO_COME, history

_ROWS = 20  # shown of a table; the whole of a longer one is folded away


def run_section(run: Run) -> Section:
    """The run as a section, without what its folder does not hold yet."""
    config, metrics, result, measured = run.config, run.metrics(), run.result(), run.measured()
    unfinished = _unfinished(config, metrics, result)
    tables = (numbers(measured, run.best()), *measured.tables)
    return Section(
        title=run_name(run),
        lead=_lead(run, metrics),
        text=tuple(measured.statements),
        pictures=(*_curves(run, metrics), *(Picture(one.caption, one.path, one.alt) for one in run.pictures())),
        tables=tuple(_first_rows(table) for table in tables if table.rows),
        warnings=(*_warnings(config, metrics, unfinished), *measured.warnings, *_left_out(run)),
        details=(
            *(_whole(table) for table in tables if len(table.rows) > _ROWS),
            _settings(config),
            _provenance(config),
        ),
        code=_commands(run, config, unfinished=unfinished),
    )


def run_name(run: Run) -> str:
    """The folder's name with the recipe and the data: "first (vae on digits)".

    Of a run that was trained from Python: with the model's class and the data, as far as they are known.
    """
    config = run.config
    about = config.get("provenance") or {}
    model = config.get("recipe") or about.get("model") or "model"
    return f"{run.folder.absolute().name} ({model}{f' on {Path(run.data).name}' if run.data else ''})"


def _lead(run: Run, metrics: Mapping[str, Sequence[float]]) -> str:
    """The result in one line."""
    done = int(max(metrics.get("epoch") or [0]))
    if (line := headline(run)) is not None:
        return f"{line}{f' after {_epochs(done)} of training' if done else ''}."
    best = run.best()
    images = f"the test {run.examples}"
    tested = f"not yet measured on {images}" if run.stale() is None else f"its numbers on {images} are out of date"
    if best is not None:
        return f"{best.text}; {tested}."
    if done:
        return f"Trained for {_epochs(done)}; {tested}."
    return "No epoch has been completed yet, so there is nothing to show but the settings."


def _warnings(config: Mapping[str, Any], metrics: Mapping[str, Sequence[float]], unfinished: bool) -> tuple[str, ...]:
    """Reasons to doubt the training."""
    found = []
    if unfinished:
        done, asked = int(max(metrics.get("epoch") or [0])), config["epochs"]
        found.append(
            f"Training stopped after {done} of {_epochs(asked)}; it can be continued (see the commands below)."
        )
    for column, values in metrics.items():
        # Row 0 is before training and has no training values; any other gap is a value that was not finite.
        bad = [i for i, value in enumerate(values) if not math.isfinite(value) and not _blank(metrics, column, i)]
        if bad:
            epoch = int(metrics["epoch"][bad[0]])
            found.append(f"{column} was not finite at epoch {epoch}: numbers after it mean nothing.")
    return tuple(found)


def _left_out(run: Run) -> tuple[str, ...]:
    """Which pictures and attacks of the folder show another state of the run and are not on the page."""
    found = []
    pictures = [picture.name for picture in run.stale_pictures()]
    if pictures and run.stale() is None:  # which names the pictures too
        found.append(f"Pictures of earlier weights or other data are left out: {', '.join(pictures)}.")
    for name, changed in run.stale_attacks().items():
        folder = shlex.quote(str(run.folder / "attacks" / name))
        found.append(f"The attack '{name}' is left out: {changed}; `epslab report {folder}` shows it.")
    return tuple(found)


def _unfinished(config: Mapping[str, Any], metrics: Mapping[str, Sequence[float]], result: Mapping[str, Any]) -> bool:
    """Whether epochs are missing. A run that stopped early is finished."""
    done, asked = max(metrics.get("epoch") or [0]), config.get("epochs")
    return isinstance(asked, int) and done < asked and result.get("status") != "finished"


def _blank(metrics: Mapping[str, Sequence[float]], column: str, row: int) -> bool:
    return column.startswith("train/") and metrics["epoch"][row] == 0


def _curves(run: Run, metrics: Mapping[str, Sequence[float]]) -> tuple[Picture, ...]:
    columns = run.columns()
    if not metrics.get("epoch") or not figures.shown(metrics, columns):
        return ()
    best = run.best()
    drawing = figures.curves(metrics, columns=columns, best_epoch=None if best is None else best.epoch)
    caption = f"Means over training and validation {run.examples} after every epoch; epoch 0 is before training."
    return (Picture(caption, drawing),)


def _first_rows(table: Table) -> Table:
    """The part of a table that is shown unfolded."""
    if len(table.rows) <= _ROWS:
        return table
    note = f"The first {_ROWS} of {len(table.rows)} rows. {table.note}".strip()
    return replace(table, rows=table.rows[:_ROWS], note=note)


def _whole(table: Table) -> Table:
    return replace(table, title=f"{table.title}: all {len(table.rows)} rows")


def _settings(config: Mapping[str, Any]) -> Table:
    rows = [
        (key, norm_text(value) if key == "norm" and isinstance(value, str) else _text(value))
        for key, value in config.items()
        if key not in ("provenance", CHANGES, TO_COME)
    ]
    for change in history({CHANGES: config.get(CHANGES)}, "config.yaml"):
        within = f", batch {change.batch}" if change.batch else ""
        was = ", ".join(f"{key} {_text(change.before[key])} → {_text(change.after[key])}" for key in change.before)
        rows.append((f"changed after epoch {change.epoch}{within}", was))
    return Table("Settings", ("setting", "value"), rows)


def _provenance(config: Mapping[str, Any]) -> Table:
    entries = config.get("provenance") or {}
    rows: list[tuple[str, str]] = []
    for key, value in entries.items():
        if isinstance(value, Mapping):
            rows += [(f"{key}: {inner}", _text(entry)) for inner, entry in value.items()]
        else:
            rows.append((key.replace("_", " "), _text(value)))
    return Table("Provenance", ("what", "value"), rows, "" if rows else "The folder does not say.")


def _commands(run: Run, config: Mapping[str, Any], *, unfinished: bool) -> str:
    """Commands: repeat the run from its settings, the one that made it, and one that continues it."""
    if "recipe" not in config:
        return _from_python(run, config, unfinished=unfinished)
    settings, again = (shlex.quote(str(path)) for path in (run.folder / "config.yaml", f"{run.folder}-again"))
    lines = ["# The same run once more:", f"epslab train --config {settings} --out {again}"]
    command = str((config.get("provenance") or {}).get("command"))
    # A run that was trained from Python has no command to quote.
    if command.startswith("epslab "):
        lines += ["# It was made by:", command]
    if unfinished:
        lines += ["# Continue from the last checkpoint:"]
        lines += [f"epslab train --config {settings} --out {shlex.quote(str(run.folder))} --resume"]
    return "\n".join(lines)


def _from_python(run: Run, config: Mapping[str, Any], *, unfinished: bool) -> str:
    """How a run that ``fit`` wrote was made, and how its weights are used: its model is known to a script alone."""
    folder = shlex.quote(str(run.folder))
    script = made_by(config.get("provenance") or {})
    lines = [f"# It was trained from Python{', by:' if script else ' (fit), by no script that could be named here.'}"]
    lines += [script] * bool(script)
    if unfinished:
        lines += ["# With resume=True in its call of fit, the same continues from the last checkpoint."]
    lines += [
        "# Measure it; package.module:name is a function of yours that builds the model:",
        f"epslab evaluate {folder} --model package.module:name",
    ]
    return "\n".join(lines)


def made_by(provenance: Mapping[str, Any]) -> str:
    """The command of a script that can be run again: "python train.py"; empty for a notebook or a prompt."""
    command = str(provenance.get("command") or "")
    name = command.partition(" ")[0]
    is_script = name.endswith(".py") and name not in ("ipykernel_launcher.py", "__main__.py")
    return f"python {command}" if is_script else ""


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)


def _epochs(n: int) -> str:
    return f"{n} epoch" if n == 1 else f"{n} epochs"
