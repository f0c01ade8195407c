"""A section of a page from a run folder alone: the result, its curves and pictures, how to repeat it."""

import math
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from epslab import figures
from epslab.report.blocks import Cell, Picture, Section, Table
from epslab.report.numbers import by_class, headline, leading, measurements, validated
from epslab.report.published import Fact, matching
from epslab.runs import Run

CAPTIONS = {
    "reliability": "How often the classifier is right against how sure it is; below the dashed line it is too sure."
    " The bars are the images it is so sure of.",
    "confusion": "What test images of each class (row) were wrongly taken for (column); right answers are left out.",
    "mistakes": "The wrong answers given with the most confidence: class → answer, and how sure the classifier was.",
    "reconstructions": "Test images above, what the model makes of their codes below.",
    "manifold": "The latent plane: mean images decoded on a grid of normal quantiles, so each has the same prior mass.",
    "codes": "Where test images lie in the latent plane (posterior means), by class.",
    "interpolations": "Straight lines in latent space between the codes of two test images, decoded.",
    "traversals": "One image, one latent coordinate changed at a time; a row that stays the same is unused.",
    "kl-per-dimension": "What each latent dimension costs: KL from posterior to prior, averaged over test images.",
}
"""What to see in the pictures a run folder may hold, by file name, in the order they are shown."""

_CHOOSING = ("robust_error", "error", "bits_per_dim")  # what chooses the best epoch, the first that is logged
_CLASSES = 20  # rows of the table of classes
_INTERVAL = "[…] is the 95 % interval (Clopper & Pearson)."


def run_section(run: Run) -> Section:
    """The run as a section; whatever its folder does not hold yet is left out, and said where it matters."""
    config, metrics, result = run.config, run.metrics(), run.result()
    return Section(
        title=run_name(run),
        lead=_lead(config, metrics, result),
        text=_statements(result),
        pictures=(*_curves(config, metrics, result), *_pictures(run)),
        tables=tuple(table for table in (_numbers(config, metrics, result), _classes(result)) if table.rows),
        warnings=_warnings(config, metrics, result),
        details=(_settings(config), _provenance(config)),
        code=_commands(run, config, unfinished=_unfinished(config, metrics, result)),
    )


def run_name(run: Run) -> str:
    """The folder's name with what was trained on what: "first (vae on digits)"."""
    config = run.config
    return (
        f"{run.folder.absolute().name} ({config.get('recipe', 'model')} on {Path(str(config.get('data', '?'))).name})"
    )


def best(config: Mapping[str, Any], metrics: Mapping[str, list[float]]) -> tuple[int, float, str] | None:
    """Epoch, value and quantity of the best validation after an epoch of training; None before there is one."""
    wanted = next((name for name in _CHOOSING if f"val/{name}" in metrics), "loss")
    if wanted == "bits_per_dim" and config.get("beta", 1) != 1:
        wanted = "loss"
    values = metrics.get(f"val/{wanted}", [])
    finite = [(value, i) for i, value in enumerate(values) if i and math.isfinite(value)]
    if not finite:
        return None
    value, i = min(finite)
    return int(metrics["epoch"][i]), value, wanted


def _lead(config: Mapping[str, Any], metrics: Mapping[str, list[float]], result: Mapping[str, Any]) -> str:
    """The result in one line."""
    found = best(config, metrics)
    done = int(max(metrics.get("epoch") or [0]))
    if (line := headline(result)) is not None:
        chosen = leading(result)
        quoted = [fact for fact in matching(config) if chosen is not None and fact.quantity == chosen.quantity]
        published = "; ".join(f"{fact.value}, {fact.source}" for fact in quoted)
        trained = f" after {_epochs(done)} of training" if done else ""
        return f"{line}{trained}{f' (published: {published})' if published else ''}."
    if found is None:
        return "No epoch has been completed yet, so there is nothing to show but the settings."
    epoch, value, quantity = found
    return (
        f"{' '.join(validated(value, quantity))} on the validation images at the best epoch, {epoch} of {done};"
        " not yet measured on the test images."
    )


def _statements(result: Mapping[str, Any]) -> tuple[str, ...]:
    """What the evaluation says in words: of the latent space (a collapse is a warning instead), of the confidence."""
    evaluation = result.get("evaluation", {})
    latents, share, sure = evaluation.get("latents", {}), evaluation.get("accuracy"), evaluation.get("confidence")
    found = [str(latents["statement"])] if latents.get("statement") and not latents.get("collapsed") else []
    if share is not None and sure is not None and not share["low"] <= sure <= share["high"]:
        which = "surer than it is right" if sure > share["high"] else "right more often than it is sure"
        found.append(f"It is {which}: its mean confidence is {100 * sure:.1f} %.")
    return tuple(found)


def _warnings(
    config: Mapping[str, Any], metrics: Mapping[str, list[float]], result: Mapping[str, Any]
) -> tuple[str, ...]:
    """What makes the numbers doubtful."""
    found = []
    if _unfinished(config, metrics, result):
        done, asked = int(max(metrics.get("epoch") or [0])), config["epochs"]
        found.append(
            f"Training stopped after {done} of {_epochs(asked)}; it can be carried on (see the commands below)."
        )
    for column, values in metrics.items():
        # Row 0 is before training and has no training values; any other gap is a value that was not finite.
        bad = [i for i, value in enumerate(values) if not math.isfinite(value) and not _blank(metrics, column, i)]
        if bad:
            epoch = int(metrics["epoch"][bad[0]])
            found.append(f"{column} was not finite at epoch {epoch}: numbers after it mean nothing.")
    latents = result.get("evaluation", {}).get("latents", {})
    if latents.get("collapsed"):
        found.append(
            str(latents.get("statement") or "The posterior has collapsed: the code says nothing of the image.")
        )
    return tuple(found)


def _unfinished(config: Mapping[str, Any], metrics: Mapping[str, list[float]], result: Mapping[str, Any]) -> bool:
    """Whether epochs are missing that were asked for, other than by early stopping, which finishes a run."""
    done, asked = max(metrics.get("epoch") or [0]), config.get("epochs")
    return isinstance(asked, int) and done < asked and result.get("status") != "finished"


def _blank(metrics: Mapping[str, list[float]], column: str, row: int) -> bool:
    return column.startswith("train/") and metrics["epoch"][row] == 0


def _curves(
    config: Mapping[str, Any], metrics: Mapping[str, list[float]], result: Mapping[str, Any]
) -> tuple[Picture, ...]:
    if not metrics.get("epoch") or not figures.shown_quantities(metrics):
        return ()
    found = best(config, metrics)
    drawing = figures.curves(metrics, best_epoch=None if found is None else found[0])
    caption = "Every epoch's mean over training and validation images; epoch 0 is before training."
    if {"val/kl", "val/reconstruction"} <= metrics.keys():
        caption += " A total that falls while KL rises is the code being learnt."
    return (Picture(caption, drawing, alt="Training and validation curves over epochs"),)


def _pictures(run: Run) -> tuple[Picture, ...]:
    """The PNG files of the figures folder: samples through time, then those with a caption, then any others."""
    paths = {path.stem: path for path in sorted(run.figures.glob("*.png"))} if run.figures.is_dir() else {}
    pictures = []
    for stem, path in paths.items():
        if match := re.fullmatch(r"samples-epoch-(\d+)", stem):
            epoch = int(match[1])
            when = f"after {_epochs(epoch)}" if epoch else "before training"
            pictures.append(Picture(f"Samples {when}: codes drawn from the prior, pixels drawn given the code.", path))
    pictures += [Picture(caption, paths[stem]) for stem, caption in CAPTIONS.items() if stem in paths]
    others = [stem for stem in paths if stem not in CAPTIONS and not stem.startswith("samples-epoch-")]
    return (*pictures, *(Picture(stem.replace("-", " ").capitalize(), paths[stem]) for stem in others))


def _numbers(config: Mapping[str, Any], metrics: Mapping[str, list[float]], result: Mapping[str, Any]) -> Table:
    """What was measured, beside what was published for the same settings."""
    rows: list[tuple[Cell, ...]] = []
    facts = matching(config)
    quoted: list[Fact] = []
    for found in measurements(result):
        same = [fact for fact in facts if fact.quantity == found.quantity]
        quoted += same
        name = f"{found.name}, {found.unit}" if found.unit else found.name
        rows.append((name, found.text, "; ".join(fact.value for fact in same)))
    if (at_best := best(config, metrics)) is not None:
        epoch, value, quantity = at_best
        text, unit = validated(value, quantity)
        rows.append((f"validation at the best epoch ({epoch}), {unit}", text, ""))
    note = _INTERVAL if "accuracy" in result.get("evaluation", {}) else ""
    notes = [f"{fact.value}: {fact.source}." for fact in quoted]
    if quoted:
        columns = ("quantity", "this run", "published")
        return Table("The numbers", columns, rows, f"{note} Published for the same settings: {' '.join(notes)}".strip())
    return Table("The numbers", ("quantity", "this run"), [row[:2] for row in rows], note)


def _classes(result: Mapping[str, Any]) -> Table:
    """The accuracy of each class; of many, of the least accurate ones."""
    rows = by_class(result)
    which = f"The {_CLASSES} least accurate of {len(rows)} classes. " if len(rows) > _CLASSES else ""
    return Table("Accuracy by class", ("class", "accuracy", "images"), rows[:_CLASSES], which + _INTERVAL)


def _settings(config: Mapping[str, Any]) -> Table:
    rows = [(key, _text(value)) for key, value in config.items() if key != "provenance"]
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
    """The command that repeats the run from its settings, the one it was made by, and how it is carried on."""
    settings, again = (shlex.quote(str(path)) for path in (run.folder / "config.yaml", f"{run.folder}-again"))
    lines = ["# The same run once more:", f"epslab train --config {settings} --out {again}"]
    command = str((config.get("provenance") or {}).get("command"))
    # A run that was trained from Python has no command to quote.
    if command.startswith("epslab "):
        lines += ["# It was made by:", command]
    if unfinished:
        lines += ["# Carried on from its last checkpoint:"]
        lines += [f"epslab train --config {settings} --out {shlex.quote(str(run.folder))} --resume"]
    return "\n".join(lines)


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
