"""Run one study, or all of them onto one page."""

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import epslab
from epslab.errors import UserError, unknown
from epslab.files import write_atomic
from epslab.report import Page, Section, StudyResult, Table, run_section, study_section, write
from epslab.runs import Run
from epslab.studies import NAMES, module, question
from epslab.studies.context import Context

_SETTINGS = "settings.json"  # written last: a folder with it is a finished study


class Finished(NamedTuple):
    """A study's result, and the seconds it took when it ran."""

    result: StudyResult
    seconds: float


def run_study(name: str, context: Context) -> StudyResult:
    """Run the study and save it in ``context.out/NAME``; what it trained before is not trained again.

    Raises:
        UserError: An unknown study, data that cannot be read, or a folder that cannot be used.
    """
    return _measure(name, context).result


def tour(
    data: str = "digits",
    out: Path = Path("tour"),
    seed: int = 0,
    *,
    data_root: Path | None = None,
    accelerator: str = "auto",
    devices: int | str = 1,
    progress: bool = True,
) -> Path:
    """Run every study at quick scale, in reading order, and write one page: ``out/report.html``, which is returned.

    A tour that was stopped carries on: studies finished with the same settings are taken as they are.

    Args:
        data: A data set's name, or a folder of images by class.
        out: Folder of the studies, their runs and the page.
        seed: Of everything random.
        data_root: Where data sets lie.
        accelerator: Lightning's accelerator.
        devices: Devices to train on.
        progress: Show a line a study, with the seconds it took.

    Raises:
        UserError: The data cannot be read, or ``out`` cannot be written.
    """
    context = Context(data, "quick", Path(out), seed, data_root, accelerator, devices, progress=False)
    console = Console(stderr=True, quiet=not progress)
    done: dict[str, Finished] = {}
    for name in NAMES:
        with _working(console, f"{name}: {question(name)}"):
            kept = _kept(name, context)
            done[name] = kept or _measure(name, context)
        took = "kept" if kept else f"{done[name].seconds:.1f} s"
        console.print(f"{name:<18} {took:>8}  {question(name)}", highlight=False, no_wrap=True, overflow="ellipsis")
    return write(_page(done, context), context.out / "report.html")


def _measure(name: str, context: Context) -> Finished:
    """Run a study and leave its folder finished."""
    if name not in NAMES:
        raise unknown("study", name, NAMES)
    folder = context.out / name
    (folder / _SETTINGS).unlink(missing_ok=True)
    start = time.perf_counter()
    study = import_module(module(name))
    with _threads(context.scale):
        result: StudyResult = replace(study.run(context), code=context.command(name))
    result.save(folder)
    seconds = time.perf_counter() - start
    write_atomic(folder / _SETTINGS, json.dumps({**_settings(context), "seconds": seconds}, indent=2) + "\n")
    return Finished(result, seconds)


@contextmanager
def _threads(scale: str) -> Iterator[None]:
    """One thread at quick scale: its nets are so small that several would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if scale == "quick" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _kept(name: str, context: Context) -> Finished | None:
    """The study as it was finished before with these settings; None where it must be run."""
    folder = context.out / name
    try:
        settings = json.loads((folder / _SETTINGS).read_text(encoding="utf-8"))
        seconds = float(settings.pop("seconds"))
        if settings != _settings(context):
            return None
        result = StudyResult.load(folder)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, UserError):
        return None
    return Finished(result, seconds) if all(Run(run).exists() for run in result.runs) else None


def _settings(context: Context) -> dict[str, Any]:
    """What a study's numbers depend on."""
    return {
        "data": str(context.data),
        "scale": context.scale,
        "seed": context.seed,
        "accelerator": context.accelerator,
        "net": context.net,
        "radius": context.radius,
        "weights": context.weights,
        "version": epslab.__version__,
    }


def _page(done: dict[str, Finished], context: Context) -> Page:
    """One section a study, one a run that was measured, and how to repeat it all."""
    # A kept study names its runs by whole paths, one just measured as the folder was given.
    folders = dict.fromkeys(run.absolute() for finished in done.values() for run in finished.result.runs)
    measured = [run for run in map(Run, folders) if run.measurements()]
    again = Section(
        "How to repeat this page",
        lead="Each study can be run alone, at this scale or with the course's settings.",
        tables=(
            Table(
                "What was run",
                ("study", "seconds", "question"),
                [(name, round(finished.seconds, 1), finished.result.question) for name, finished in done.items()],
                note=f"{len(folders)} models were trained; studies share them, and the first to need one pays for it.",
            ),
        ),
        code=f"epslab tour --data {shlex.quote(context.data)} --seed {context.seed}\n"
        f"epslab study vae --data {shlex.quote(context.data)} --scale full\n"
        f"epslab study defence --data {shlex.quote(context.data)} --scale full",
    )
    return Page(
        f"epslab: {len(done)} questions about models that generate and models that are fooled, on"
        f" {Path(context.data).name}",
        lead=f"{done['vae'].result.answer} {done['fgsm'].result.answer} Every number on this page was measured by this"
        " tour.",
        sections=(
            *(study_section(finished.result) for finished in done.values()),
            *(run_section(run) for run in measured),
            again,
        ),
    )


@contextmanager
def _working(console: Console, what: str) -> Iterator[None]:
    """A line with the seconds so far, while something runs; nothing where there is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield
