"""Run one study, or all of them onto one page."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from epslab import data as datasets
from epslab.errors import UserError
from epslab.report import Page, Section, StudyResult, Table, run_section, study_section, write
from epslab.runs import Run, lock, number
from epslab.studies.context import Context
from epslab.studies.folder import require_studies
from epslab.studies.found import returned
from epslab.studies.names import NAMES, STUDIES, question

_FOUND = "found"
_FEWEST = 100  # test images, for the study of estimators


class Study(Protocol):
    """What a study is: a module or an object with these names.

    The annotation of what ``measure`` returns says how its ``Found`` is read back.
    """

    QUESTION: str

    def measure(self, context: Context) -> Any:
        """Train and measure; ``context.once`` keeps the parts that took long."""
        ...

    def tell(self, found: Any) -> StudyResult:
        """Answer the question from what was measured alone."""
        ...


class Finished(NamedTuple):
    """A study's result, the seconds it took to measure, and whether that was done before."""

    result: StudyResult
    seconds: float
    kept: bool


def run_study(name: str, context: Context) -> StudyResult:
    """Run the study and save it in ``context.out/NAME``.

    What was measured before with the same settings is not measured again, only told again. At the end the checkpoints
    of the runs it trained are deleted; their weights, curves and pictures stay.

    Raises:
        UserError: An unknown study, data that cannot be read, or a folder that cannot be used, holds other things
            than studies, or is in use by another process.
    """
    require_studies(context.out)
    return _finish(name, context).result


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

    A tour that was stopped goes on: what was measured with the same settings is told again, not measured again.

    Args:
        data: A data set's name, or a folder of images by class.
        out: Folder of the studies, their runs and the page.
        seed: Of everything random.
        data_root: Where data sets lie.
        accelerator: Lightning's accelerator.
        devices: Devices to train on.
        progress: Show a line per study, with the seconds it took.

    Raises:
        UserError: The data cannot be read, or ``out`` cannot be written or holds other things than studies.
    """
    require_studies(Path(out))
    _require_enough(data, data_root)
    context = Context(data, "quick", Path(out), seed, data_root, accelerator, devices, progress=False)
    console = Console(stderr=True, quiet=not progress)
    done: dict[str, Finished] = {}
    for name in NAMES:
        with _working(console, f"{name}: {question(name)}"):
            done[name] = _finish(name, context)
        took = "kept" if done[name].kept else f"{number(done[name].seconds)} s"
        console.print(f"{name:<18} {took:>8}  {question(name)}", highlight=False, no_wrap=True, overflow="ellipsis")
    return write(_page(done, context), context.out / "report.html")


def _require_enough(data: str, data_root: Path | None) -> None:
    """Check that every study can be asked of these data, before the first one has been."""
    test = datasets.load(data, "test", data_root)
    if len(test) < _FEWEST or len(test.classes) < 2:
        raise UserError(
            f"A tour takes {_FEWEST} test images or more, of two classes or more, but '{data}' has {len(test)} of"
            f" {len(test.classes)}; choose other data, or single studies."
        )


def _finish(name: str, context: Context) -> Finished:
    """Measure what was not measured before, tell it, and save the result."""
    study: Study = STUDIES[name]
    if missing := [part for part in ("QUESTION", "measure", "tell") if not hasattr(study, part)]:
        raise UserError(
            f"'{name}' is no study: it has no {', '.join(missing)}; a study has QUESTION, measure(context) -> Found and"
            " tell(found) -> StudyResult."
        )
    own = context.of(name)
    with lock(own.folder, "asking a study"), _threads(context.scale):
        kept = own.kept(_FOUND, returned(study.measure)) is not None
        found = own.keep(_FOUND, study.measure, own)
        told = study.tell(found.value)
        result = replace(told, code=context.command(name), runs=tuple(context.out / run for run in found.runs))
        result.save(own.folder)
        context.tidy(found.runs)
    return Finished(result, found.seconds, kept)


@contextmanager
def _threads(scale: str) -> Iterator[None]:
    """One thread at quick scale: its nets are so small that several would wait for each other most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if scale == "quick" else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
                [(name, finished.seconds, finished.result.question) for name, finished in done.items()],
                note=f"{len(folders)} models were trained. Studies share them; the time counts for the first study that"
                " needs one.",
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
