"""Broken defences around one net, what a careless attack says of them, and which checks see through each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from epslab import seeds
from epslab.attacks import APGD, PGD, Attack, Transfer
from epslab.data import ImageSet
from epslab.report import StudyResult, Table
from epslab.studies.broken_defences import DEFENCES, Wrapped
from epslab.studies.context import Context
from epslab.studies.outcomes import Outcomes, measured
from epslab.studies.trained import images_to_attack, loaded, undefended

QUESTION = "Which checks reveal that a defence only hides its gradient?"

STRAIGHT, ADAPTED, THROUGH = "PGD-40", "APGD", "PGD-40 through it"
HONEST = DEFENCES[0].name
_MARKS = {"pass": "✓", "fail": "✗", "not checked": "–"}


class Check(NamedTuple):
    """One check of an evaluation: its verdict ("pass", "fail", "not checked") and what it saw."""

    name: str
    verdict: str
    evidence: str


@dataclass(frozen=True, eq=False)
class Judged:
    """A defence as a careless evaluation sees it, with its checks, and as a careful one does."""

    straight: Outcomes
    careful: Outcomes
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that it does not pass."""
        return tuple(check for check in self.checks if check.verdict == "fail")


@dataclass(frozen=True, eq=False)
class Found:
    """The radius as it was given, and every defence by name; "honest" is the net itself."""

    radius: str
    judged: Mapping[str, Judged]

    @property
    def sham(self) -> dict[str, Judged]:
        """The defences that defend nothing."""
        return {name: judged for name, judged in self.judged.items() if name != HONEST}


def measure(context: Context) -> Found:
    """Wrap one trained net in every defence, and evaluate each carelessly and carefully."""
    net = loaded(undefended(context), context)
    images = images_to_attack(context, context.pick(200, 256))
    judged = {wrapped.name: context.once(wrapped.name, judge, wrapped, net, images, context) for wrapped in DEFENCES}
    return Found(context.radius_text, judged)


def judge(wrapped: Wrapped, net: nn.Module, images: ImageSet, context: Context) -> Judged:
    """Evaluate a defence with PGD alone and its findings, then with APGD and with an attack through it."""
    ball = context.ball
    radius = float(ball.radius)
    defended = wrapped.defend(net, radius)
    through: Attack = PGD(ball) if defended is net else Transfer(wrapped.through(net, radius), PGD(ball))
    careful = {ADAPTED: APGD(ball, steps=50, targets=3), THROUGH: through}
    # A defence that draws noise draws it from torch's own generator.
    with seeds.seeded(context.seed, "findings", wrapped.name):
        report = measured(defended, images, {STRAIGHT: PGD(ball)}, context, findings=True, resume=False)
        other = measured(defended, images, careful, context, resume=False)
        checks = tuple(Check(finding.name, finding.verdict, finding.evidence) for finding in report.findings)
        return Judged(Outcomes.of(report), Outcomes.of(other), checks)


def tell(found: Found) -> StudyResult:
    """How much the most flattering sham defence seems to hold, and how many of them the checks catch."""
    return StudyResult(
        name="findings",
        question=QUESTION,
        answer=_answer(found),
        tables=(_accuracies(found), _tricks(found), _verdicts(found), _evidence(found)),
    )


def _answer(found: Found) -> str:
    name, most = max(found.sham.items(), key=lambda item: item[1].straight.accuracy(STRAIGHT))
    honest = found.judged[HONEST]
    counts = ", ".join(f"'{name}' fails {len(judged.failed)}" for name, judged in found.sham.items())
    return (
        f"Under {STRAIGHT} the undefended net is right on {honest.straight.accuracy(STRAIGHT)} of images. Of"
        f" {len(found.sham)} sham defences '{name}' seems best, with {most.straight.accuracy(STRAIGHT)}; an attack"
        f" through it leaves {most.careful.accuracy(THROUGH)}. The checks catch"
        f" {sum(bool(judged.failed) for judged in found.sham.values())} of {len(found.sham)}. Of {len(honest.checks)}"
        f" checks {counts}, and the honest net {len(honest.failed) or 'none'}."
    )


def _accuracies(found: Found) -> Table:
    images = found.judged[HONEST].straight.images
    rows: list[tuple[str | int, ...]] = []
    for name, judged in found.judged.items():
        straight = [str(judged.straight.clean), str(judged.straight.accuracy(STRAIGHT))]
        careful = [str(judged.careful.accuracy(attack)) for attack in (ADAPTED, THROUGH)]
        rows.append((name, *straight, *careful, len(judged.failed)))
    ways = "; ".join(f"{wrapped.name}, {wrapped.way}" for wrapped in DEFENCES)
    return Table(
        f"Accuracy of one net behind each defence, {images:,} test images, L∞ radius {found.radius}",
        ("defence", "clean", STRAIGHT, ADAPTED, THROUGH, "checks failed"),
        rows,
        note="Brackets: 95 % intervals. APGD also raises the difference of logits ratio, which no scale changes. What"
        f" an attack through it is made on: {ways}.",
    )


def _tricks(found: Found) -> Table:
    rows = [(wrapped.name, wrapped.trick) for wrapped in DEFENCES if wrapped.name in found.judged]
    return Table("What each defence does", ("defence", "trick"), rows)


def _verdicts(found: Found) -> Table:
    columns = [judged.checks for judged in found.judged.values()]
    rows = [(row[0].name, *(_MARKS[check.verdict] for check in row)) for row in zip(*columns, strict=True)]
    return Table("Verdicts of the checks", ("check", *found.judged), rows, "✓ passes, ✗ fails, – cannot be checked.")


def _evidence(found: Found) -> Table:
    rows = [(name, check.name, check.evidence) for name, judged in found.judged.items() for check in judged.failed]
    return Table("What the failed checks saw", ("defence", "check", "evidence"), rows)
