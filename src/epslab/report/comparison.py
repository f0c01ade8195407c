"""Several runs side by side: their curves, the settings in which they differ, their results, and which is best."""

from collections.abc import Sequence
from typing import Any

from epslab import figures
from epslab.report.blocks import Picture, Section
from epslab.report.measured import headline, labelled, uncertainty
from epslab.report.pairs import differences_of_runs
from epslab.report.training_run import run_name
from epslab.runs import Cell, Measurement, Run, Table
from epslab.training.changes import CHANGES, TO_COME

_PANELS = 6
"""Most quantities whose curves are shown together."""

_NO_SETTINGS = ("provenance", CHANGES, TO_COME)
_ANY_MODEL = ("recipe", "data", "seed", "epochs", "half")
"""Settings that mean the same for any model."""


def comparison(runs: Sequence[Run]) -> Section:
    """One row per run, the best first if they share a headline measurement; blank where nothing was measured.

    Then their curves in one picture, and the differences of what was measured on the same examples.
    """
    ordered = ranked(runs) or [*runs]
    names = names_of(ordered)
    configs = [{key: value for key, value in run.config.items() if key not in _NO_SETTINGS} for run in ordered]
    # A setting that only some models have says nothing about the others.
    shared = [key for key in configs[0] if all(key in config for config in configs)]
    # Between models of different kinds most settings differ, and few of them mean the same.
    if len({repr(config.get("recipe")) for config in configs}) > 1:
        shared = [key for key in shared if key in _ANY_MODEL]
    differing = [key for key in shared if len({repr(config[key]) for config in configs}) > 1]
    found = [run.measurements() for run in ordered]
    shown = _shown(found)
    rows = []
    for name, run, config, measured in zip(names, ordered, configs, found, strict=True):
        best = run.best()
        row: list[Cell] = [name, *(_cell(config.get(key)) for key in differing)]
        row += [_number(key, measured, found) for key in shown]
        row += [None if best is None else f"{best.column.label} {best.number} (epoch {best.epoch})"]
        rows.append(row)
    columns = ["run", *(key.replace("_", " ") for key in differing), *shown.values(), "best epoch"]
    paired = differences_of_runs(runs, names_of(runs))
    return Section(
        "The runs compared",
        pictures=_curves(runs),
        tables=(Table("", columns, rows, _note(runs, found)), *([paired] if paired.rows else [])),
    )


def names_of(runs: Sequence[Run]) -> list[str]:
    """The names of the folders, with as many of the folders above as it takes to tell them apart."""
    folders = [run.folder.absolute() for run in runs]
    for depth in range(1, max(len(folder.parts) for folder in folders)):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    return [f"{folder.name} ({i})" for i, folder in enumerate(folders, start=1)]  # one folder given twice


def _curves(runs: Sequence[Run]) -> list[Picture]:
    """The quantities that at least two of the runs logged under the same label and unit, a panel for each."""
    metrics = {name: run.metrics() for name, run in zip(names_of(runs), runs, strict=True)}
    declared = [run.columns() for run in runs]
    logged = [set(figures.shown(one, columns)) for one, columns in zip(metrics.values(), declared, strict=True)]
    every = {key: column for columns in reversed(declared) for key, column in columns.items()}
    keys = [
        key
        for key in dict.fromkeys([*every, *sorted(set().union(*logged))])
        if len({columns.get(key) for columns, own in zip(declared, logged, strict=True) if key in own}) == 1
        and sum(key in own for own in logged) > 1
    ]
    if len(metrics) < 2 or not keys:
        return []
    caption = "Validation curves of the runs, one panel for each quantity that they share."
    return [Picture(caption, figures.overlaid(metrics, every, keys[:_PANELS]))]


def lead(runs: Sequence[Run]) -> str:
    """The best run in words; empty if the runs share no headline measurement, or none was measured."""
    measured = [run for run in runs if run.measurements()]
    if len(measured) == 1:
        return f"{run_name(measured[0])}: {headline(measured[0])}."
    order = ranked(measured)
    if not order:
        return ""
    by = [one for run in order if (one := _ranking(run, measured)) is not None]
    kind = f" ({by[0].note})" if len({one.note for one in by}) > 1 and by[0].note else ""
    return f"Best of {len(order)}: {run_name(order[0])}: {headline(order[0], by[0].key)}{kind}."


def ranked(runs: Sequence[Run]) -> list[Run]:
    """The runs by their shared headline measurement, the best first, those without one last; empty if they share none.

    They share it if it has the same key, unit and direction, on the same data and under the same conditions. Of runs
    with different headlines, one run's headline is shared if all have it as a measurement of the same kind (``note``).
    """
    values = [(run, one) for run in runs if (one := _ranking(run, runs)) is not None]
    kinds = {(_data(run), _conditions(run, runs), one.key, one.unit, one.better) for run, one in values}
    if len(kinds) != 1 or values[0][1].better is None:
        return []
    values.sort(key=lambda pair: pair[1].value, reverse=values[0][1].better == "higher")
    best_first = [run for run, _ in values]
    return best_first + [run for run in runs if run not in best_first]


def _ranking(run: Run, runs: Sequence[Run]) -> Measurement | None:
    """What a run is ranked by among these: the measurement that all have, else its own headline."""
    key = _common(runs)
    return _headline(run) if key is None else run.measurements().get(key)


def _common(runs: Sequence[Run]) -> str | None:
    """Of runs with different headlines, the headline that all have as a measurement of one kind; None if none is."""
    found = [measured for run in runs if (measured := run.measurements())]
    heads = dict.fromkeys(one.key for measured in found for one in measured.values() if one.headline)
    if len(heads) < 2:
        return None
    fits = (key for key in heads if all(key in one for one in found) and len(_values("note", key, found)) == 1)
    return next(fits, None)


def _conditions(run: Run, runs: Sequence[Run]) -> str:
    """The conditions a ranking depends on: those of headlines; a common measurement of one kind has none."""
    return run.measured().conditions if _common(runs) is None else ""


def _headline(run: Run) -> Measurement | None:
    return next((one for one in run.measurements().values() if one.headline), None)


def _data(run: Run) -> str:
    return str(run.data)


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
    elif len(conditions) > 1 and not ranked(runs):
        listed = " or ".join(filter(None, conditions))
        notes.append(f"The runs are not ranked, because not all were measured under the same conditions ({listed}).")
    return " ".join(filter(None, notes))


def _cell(value: Any) -> Cell:
    return value if isinstance(value, str | int | float) or value is None else str(value)
