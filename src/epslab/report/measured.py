"""The numbers of a run, in words and as a table."""

from collections.abc import Sequence

from epslab.runs import Best, Cell, Measured, Measurement, Run, Table, number


def leading(measured: Measured) -> Measurement | None:
    """The headline measurement, or else the first; None if nothing was measured."""
    found = measured.measurements
    return next((one for one in found if one.headline), found[0] if found else None)


def headline(run: Run, key: str | None = None) -> str | None:
    """The result in a few words: "Accuracy 98.9 % [98.6, 99.1] on 10,000 test images"; None if nothing was measured.

    Args:
        run: A run.
        key: Of the measurement that is told; None: the leading one.
    """
    chosen = leading(run.measured()) if key is None else run.measurements().get(key)
    if chosen is None:
        return None
    result = run.result()
    about = result if "measurements" in result else result.get("evaluation", {})
    return in_words(chosen, about.get("images"), str(about.get("split") or ""), run.examples)


def in_words(one: Measurement, images: object, split: str, examples: str) -> str:
    """A measurement with what it was measured on: "Accuracy 98.9 % on 10,000 test images"."""
    noun = examples if images or split else ""
    measured_on = [number(images) if isinstance(images, int) else "", split, noun]
    return " ".join(filter(None, (capital(one.name), one.text, "on" if any(measured_on) else "", *measured_on)))


def numbers(measured: Measured, best: Best | None) -> Table:
    """Every number with its unit, its note and the published value, if there are any."""
    rows: list[list[Cell]] = [[labelled(one), one.number, one.note, one.published] for one in measured.measurements]
    if best is not None:
        rows.append(
            [f"{best.column.label}, {best.stage} {best.examples}, best epoch ({best.epoch})", best.number, "", ""]
        )
    headings = ("quantity", "this run", "what it is", "published for these settings")
    # Empty columns are left out.
    kept = [i for i in range(4) if i < 2 or any(row[i] for row in rows)]
    note = " ".join(
        filter(None, (uncertainty(measured.measurements), f"{measured.conditions}." * bool(measured.conditions)))
    )
    return Table("The numbers", [headings[i] for i in kept], [[row[i] for i in kept] for row in rows], capital(note))


def labelled(one: Measurement) -> str:
    """Name and unit: "KL to the prior, nats"; without the unit if the name has it, and for fractions."""
    return one.name if one.unit in ("fraction", *one.name.split(", "), "") else f"{one.name}, {one.unit}"


def uncertainty(measurements: Sequence[Measurement]) -> str:
    """What [low, high] and ± mean in a table of these numbers."""
    notes = []
    if any(one.interval is not None for one in measurements):
        notes.append("[low, high] is the 95 % confidence interval.")
    if any(one.standard_error is not None and one.interval is None for one in measurements):
        notes.append("± is the standard error.")
    return " ".join(notes)


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]
