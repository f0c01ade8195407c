"""Several runs side by side: the settings in which they differ, their results, and which is best."""

from collections.abc import Sequence
from typing import Any

from epslab.report.blocks import Section
from epslab.report.measured import headline, labelled, uncertainty
from epslab.report.training_run import run_name
from epslab.runs import Cell, Measurement, Run, Table


def comparison(runs: Sequence[Run]) -> Section:
    """One row per run, the best first if they share a headline measurement; blank where nothing was measured."""
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
        row += [_number(key, measured, found) for key in shown]
        row += [None if best is None else f"{best.column.label} {best.number} (epoch {best.epoch})"]
        rows.append(row)
    columns = ["run", *(key.replace("_", " ") for key in differing), *shown.values(), "best epoch"]
    return Section("The runs compared", tables=(Table("", columns, rows, _note(runs, found)),))


def lead(runs: Sequence[Run]) -> str:
    """The best run in words; empty if the runs share no headline measurement, or none was measured."""
    measured = [run for run in runs if run.measurements()]
    if len(measured) == 1:
        return f"{run_name(measured[0])}: {headline(measured[0])}."
    order = ranked(measured)
    if not order:
        return ""
    kinds = [one.note for run in order if (one := _headline(run)) is not None]
    kind = f" ({kinds[0]})" if len(set(kinds)) > 1 and kinds[0] else ""
    return f"Best of {len(order)}: {run_name(order[0])}: {headline(order[0])}{kind}."


def ranked(runs: Sequence[Run]) -> list[Run]:
    """The runs by their shared headline measurement, the best first, those without one last; empty if they share none.

    They share it if it has the same key, unit and direction, on the same data and under the same conditions.
    """
    values = [(run, one) for run in runs if (one := _headline(run)) is not None]
    kinds = {(_data(run), run.measured().conditions, one.key, one.unit, one.better) for run, one in values}
    if len(kinds) != 1 or values[0][1].better is None:
        return []
    values.sort(key=lambda pair: pair[1].value, reverse=values[0][1].better == "higher")
    best_first = [run for run, _ in values]
    return best_first + [run for run in runs if run not in best_first]


def _headline(run: Run) -> Measurement | None:
    return next((one for one in run.measurements().values() if one.headline), None)


def _data(run: Run) -> str:
    return str(run.config.get("data"))


def _shown(found: Sequence[dict[str, Measurement]]) -> dict[str, str]:
    """Headings of the measurements that compare runs, by key: the headlines and those with a direction."""
    every = [one for measured in found for one in measured.values() if one.headline or one.better is not None]
    every.sort(key=lambda one: not one.headline)
    return {
        one.key: labelled(one) if len(_values("name", one.key, found)) == 1 else one.unit or one.key.replace("_", " ")
        for one in every
    }


def _number(key: str, measured: dict[str, Measurement], found: Sequence[dict[str, Measurement]]) -> str | None:
    """The number, with its name and note if these differ from run to run: "2.035 (upper bound)"."""
    if key not in measured:
        return None
    one = measured[key]
    differing = [getattr(one, field) for field in ("name", "note") if len(_values(field, key, found)) > 1]
    about = "; ".join(filter(None, differing))
    return f"{one.number} ({about})" if about else one.number


def _values(field: str, key: str, found: Sequence[dict[str, Measurement]]) -> set[str]:
    return {getattr(measured[key], field) for measured in found if key in measured}


def _note(runs: Sequence[Run], found: Sequence[dict[str, Measurement]]) -> str:
    every = [one for measured in found for one in measured.values()]
    if not every:
        return "None of these runs has been evaluated yet."
    notes = [uncertainty(every)]
    conditions = dict.fromkeys(run.measured().conditions for run in runs if run.measurements())
    if len({_data(run) for run in runs}) > 1:
        notes.append("These runs were measured on different data: their numbers do not compare.")
    elif len(conditions) > 1:
        listed = " or ".join(filter(None, conditions))
        notes.append(f"The runs are not ranked, because not all were measured under the same conditions ({listed}).")
    return " ".join(filter(None, notes))


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else str(value)
