"""Several runs side by side: the settings in which they differ, what each came to, and which is best."""

from collections.abc import Sequence
from typing import Any

from epslab.report.blocks import Section
from epslab.report.measured import capital, headline
from epslab.report.training_run import run_name
from epslab.runs import Cell, Measurement, Run, Table


def comparison(runs: Sequence[Run]) -> Section:
    """One row per run, the best first where they share a headline measurement; what was not measured is blank."""
    ordered = ranked(runs) or [*runs]
    configs = [{key: value for key, value in run.config.items() if key != "provenance"} for run in ordered]
    # A setting that only some models have says nothing about the others.
    shared = [key for key in configs[0] if all(key in config for config in configs)]
    differing = [key for key in shared if len({repr(config[key]) for config in configs}) > 1]
    found = [run.measurements() for run in ordered]
    shown = _shown(found)
    rows = []
    for run, config, measured in zip(ordered, configs, found, strict=True):
        best = run.best()
        row: list[Cell] = [run.folder.absolute().name, *(_cell(config.get(key)) for key in differing)]
        row += [measured[key].number if key in measured else None for key in shown]
        row += [None if best is None else f"{best.column.label} {best.number} (epoch {best.epoch})"]
        rows.append(row)
    columns = ["run", *(key.replace("_", " ") for key in differing), *shown.values(), "best epoch"]
    return Section("The runs compared", tables=(Table("", columns, rows, _note(runs, found)),))


def lead(runs: Sequence[Run]) -> str:
    """The best run in words; empty where the runs do not share a headline measurement, or none was measured."""
    measured = [run for run in runs if run.measurements()]
    if len(measured) == 1:
        return f"{run_name(measured[0])}: {headline(measured[0])}."
    order = ranked(measured)
    return f"Best of {len(order)}: {run_name(order[0])}: {headline(order[0])}." if order else ""


def ranked(runs: Sequence[Run]) -> list[Run]:
    """The runs by their shared headline measurement, the best first, those without any last; empty if they share none.

    They share one where it has the same key, name, unit, direction and note, and was measured on the same data.
    """
    values = [(run, one) for run in runs if (one := _headline(run)) is not None]
    if not values or len({_kind(run, one) for run, one in values}) > 1 or values[0][1].better is None:
        return []
    values.sort(key=lambda pair: pair[1].value, reverse=values[0][1].better == "higher")
    best_first = [run for run, _ in values]
    return best_first + [run for run in runs if run not in best_first]


def _headline(run: Run) -> Measurement | None:
    return next((one for one in run.measurements().values() if one.headline), None)


def _kind(run: Run, one: Measurement) -> tuple[str, ...]:
    return (_data(run), one.key, one.name, one.unit, str(one.better), one.note)


def _data(run: Run) -> str:
    return str(run.config.get("data"))


def _shown(found: Sequence[dict[str, Measurement]]) -> dict[str, str]:
    """Headings of the measurements that compare runs, by key: the headlines and those with a direction."""
    every = [one for measured in found for one in measured.values() if one.headline or one.better is not None]
    every.sort(key=lambda one: not one.headline)
    return {one.key: f"{one.name}, {one.unit}" if one.unit not in ("", "fraction") else one.name for one in every}


def _note(runs: Sequence[Run], found: Sequence[dict[str, Measurement]]) -> str:
    every = [one for measured in found for one in measured.values()]
    if not every:
        return "None of these runs has been evaluated yet."
    notes = []
    if any(one.interval is not None for one in every):
        notes.append("[low, high] is the 95 % confidence interval.")
    if any(one.standard_error is not None for one in every):
        notes.append("± is the standard error.")
    headlines = [one for run in runs if (one := _headline(run)) is not None]
    if len({_data(run) for run in runs}) > 1:
        notes.append("These runs were measured on different data: their numbers do not compare.")
    elif (
        len(kinds := list(dict.fromkeys(f"{one.name} ({one.note})" if one.note else one.name for one in headlines))) > 1
    ):
        notes.append(f"The runs are not ranked, for their headlines differ in kind. {capital('; '.join(kinds))}.")
    return " ".join(notes)


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else str(value)
