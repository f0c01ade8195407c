"""Runs, attacks and studies on one page, with a table that compares the runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from epslab.errors import UserError
from epslab.evaluation import LikelihoodReport, RobustnessReport
from epslab.report.attacks_compared import attacks_compared, names_of
from epslab.report.blocks import Page, Section
from epslab.report.comparison import comparison
from epslab.report.comparison import lead as compared
from epslab.report.likelihood import likelihood_section
from epslab.report.page import write
from epslab.report.robustness import AuditFolder, attacks_of, is_attack, robustness_section
from epslab.report.study import StudyResult, study_section
from epslab.report.training_run import run_section
from epslab.runs import Run

Item = Run | AuditFolder | StudyResult | LikelihoodReport
"""What a page can show."""


def write_report(
    items: Sequence[Item | RobustnessReport | Path | str], out: Path | str, *, title: str = "", lead: str = ""
) -> Path:
    """One page of these runs, attacks and studies, in the order given; several runs or attacks are compared first.

    A run's section is followed by those of its finished attacks on the weights it has now.

    Args:
        items: Runs, attacks, results of studies, or the folders of any of them; also what ``evaluate_robustness`` and
            ``evaluate_likelihood`` returned.
        out: The HTML file.
        title: Heading of the page; made from what is on it if empty.
        lead: The page's result in one line; made from the runs if empty.

    Raises:
        UserError: A folder holds none of them, or ``out`` cannot be written.
    """
    opened = [_open(Path(item) if isinstance(item, str) else item) for item in items]
    runs = [item for item in opened if isinstance(item, Run)]
    attacked = [_audits(item) for item in opened]
    audits = [audit for found in attacked for audit in found]
    told = iter(_told_apart(audits))
    sections = [
        section
        for item, found in zip(opened, attacked, strict=True)
        for section in (*_own_sections(item), *islice(told, len(found)))
    ]
    if len(opened) > 1 and len(audits) > 1:
        sections.insert(0, attacks_compared(audits))
    if len(runs) > 1:
        sections.insert(0, comparison(runs))
    if not title:
        title = f"epslab: {_count(opened)}" if len(opened) > 1 else sections[0].title
        # A page of one run and its attacks has more than that one section: it does not repeat its heading.
        title += ", attacked" if len(opened) == 1 and len(sections) > 1 else ""
    return write(Page(title, lead or (compared(runs) if len(opened) > 1 else ""), sections), Path(out))


def _own_sections(item: Item) -> list[Section]:
    """Its sections but those of its attacks."""
    if isinstance(item, AuditFolder):
        return []
    if isinstance(item, LikelihoodReport):
        return [likelihood_section(item)]
    return [run_section(item) if isinstance(item, Run) else study_section(item)]


def _told_apart(audits: Sequence[AuditFolder]) -> list[Section]:
    """The attacks' sections; where titles are the same, with the names of their folders."""
    sections = [robustness_section(audit) for audit in audits]
    counted = Counter(section.title for section in sections)
    return [
        replace(section, title=f"{section.title} ({name})") if counted[section.title] > 1 else section
        for section, name in zip(sections, names_of(audits), strict=True)
    ]


def _audits(item: Item) -> Sequence[AuditFolder]:
    """An attack, or the finished attacks on a run with the weights it has now."""
    if isinstance(item, Run):
        stale = item.stale_attacks()
        return [attack for attack in attacks_of(item.folder) if attack.folder and attack.folder.name not in stale]
    return [item] if isinstance(item, AuditFolder) else []


def _open(item: Item | RobustnessReport | Path) -> Item:
    if isinstance(item, RobustnessReport):
        return AuditFolder.of(item)
    if isinstance(item, Run | AuditFolder | StudyResult | LikelihoodReport):
        return item
    if is_attack(item):
        return AuditFolder.load(item)
    if (item / "config.yaml").is_file():
        return Run.open(item)
    if (item / "result.json").is_file():
        return StudyResult.load(item)
    raise UserError(
        f"'{item}' holds neither a run nor a study nor an attack (no config.yaml, no result.json); give a folder"
        " that `epslab train`, `epslab attack` or `epslab study` wrote, or fit or evaluate_robustness in Python."
    )


def _count(opened: Sequence[Item]) -> str:
    counted = []
    for kind, one, many in (
        (Run, "run", "runs"),
        (AuditFolder, "attack", "attacks"),
        (StudyResult, "study", "studies"),
        (LikelihoodReport, "likelihood", "likelihoods"),
    ):
        n = sum(isinstance(item, kind) for item in opened)
        if n:
            counted.append(f"{n} {one if n == 1 else many}")
    return " and ".join(counted)
