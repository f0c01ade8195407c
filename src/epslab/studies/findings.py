"""Broken defences round one net, what a careless attack says of them, and which checks see through each."""

from typing import NamedTuple

from torch import nn

from epslab import seeds
from epslab.attacks import APGD, PGD, Attack, Transfer
from epslab.data import ImageSet
from epslab.evaluation import RobustnessReport
from epslab.report import StudyResult, Table
from epslab.studies.broken_defences import DEFENCES, Wrapped
from epslab.studies.classifiers import images_to_attack, loaded, measured, undefended
from epslab.studies.context import Context

QUESTION = "Which checks reveal that a defence only hides its gradient?"

STRAIGHT, ADAPTED, THROUGH = "PGD-40", "APGD", "PGD-40 through it"
_MARKS = {"pass": "✓", "fail": "✗", "not checked": "–"}


class Judged(NamedTuple):
    """A defence as a careless evaluation sees it, with its findings, and as a careful one does."""

    straight: RobustnessReport
    careful: RobustnessReport

    @property
    def failed(self) -> tuple[str, ...]:
        """The checks that it does not pass."""
        return tuple(finding.name for finding in self.straight.findings if finding.verdict == "fail")


def run(context: Context) -> StudyResult:
    """Wrap one trained net in every defence, evaluate each carelessly and carefully, and list the verdicts."""
    trained = undefended(context)
    net = loaded(trained, context)
    images = images_to_attack(context, context.pick(200, 256))
    found = {wrapped.name: judge(wrapped, net, images, context) for wrapped in DEFENCES}
    honest = found["honest"]
    broken = {name: judged for name, judged in found.items() if name != "honest"}
    caught = [name for name, judged in broken.items() if judged.failed]
    flattered = max(broken, key=lambda name: broken[name].straight.robust_accuracy[STRAIGHT])
    most = broken[flattered]
    return StudyResult(
        name="findings",
        question=QUESTION,
        answer=(
            f"{STRAIGHT} leaves the undefended net {honest.straight.robust_accuracy[STRAIGHT]} and, of {len(broken)}"
            f" sham defences, '{flattered}' even {most.straight.robust_accuracy[STRAIGHT]}, where an attack through it"
            f" leaves {most.careful.robust_accuracy[THROUGH]}. The checks catch {len(caught)} of"
            f" {len(broken)}: of {len(honest.straight.findings)} checks"
            f" {', '.join(f'{name} fails {len(judged.failed)}' for name, judged in broken.items())}, and the honest net"
            f" {len(honest.failed) or 'none'}."
        ),
        tables=(
            Table(
                f"Accuracy of one net behind each defence, {len(images):,} test images, L∞ radius"
                f" {context.radius_text}",
                ("defence", "clean", STRAIGHT, ADAPTED, THROUGH, "checks failed"),
                [
                    (
                        name,
                        str(judged.straight.clean_accuracy),
                        str(judged.straight.robust_accuracy[STRAIGHT]),
                        str(judged.careful.robust_accuracy[ADAPTED]),
                        str(judged.careful.robust_accuracy[THROUGH]),
                        len(judged.failed),
                    )
                    for name, judged in found.items()
                ],
                note=(
                    "Brackets: 95 % intervals. APGD also raises the difference of logits ratio, which no scale changes."
                    " Through it, an attack is made on: "
                    + "; ".join(f"{wrapped.name}, {wrapped.way}" for wrapped in DEFENCES)
                    + "."
                ),
            ),
            Table("What each defence does", ("defence", "trick"), [(w.name, w.trick) for w in DEFENCES]),
            Table(
                "Verdicts of the checks",
                ("check", *found),
                [
                    (finding.name, *(_MARKS[judged.straight.findings[i].verdict] for judged in found.values()))
                    for i, finding in enumerate(honest.straight.findings)
                ],
                note="✓ passes, ✗ fails, – cannot be checked.",
            ),
            Table(
                "What the failed checks saw",
                ("defence", "check", "evidence"),
                [
                    (name, finding.name, finding.evidence)
                    for name, judged in found.items()
                    for finding in judged.straight.findings
                    if finding.verdict == "fail"
                ],
            ),
        ),
        runs=(trained.folder,),
    )


def judge(wrapped: Wrapped, net: nn.Module, images: ImageSet, context: Context) -> Judged:
    """Evaluate a defence with PGD alone and its findings, then with APGD and with an attack through it."""
    ball = context.ball
    radius = float(ball.radius)
    defended = wrapped.defend(net, radius)
    careful: dict[str, Attack] = {
        ADAPTED: APGD(ball, steps=50, targets=3),
        THROUGH: Transfer(wrapped.through(net, radius), PGD(ball))
        if wrapped.defend(net, radius) is not net
        else PGD(ball),
    }
    # A defence that draws noise draws it from torch's own generator.
    with seeds.seeded(context.seed, "findings", wrapped.name):
        return Judged(
            measured(defended, images, {STRAIGHT: PGD(ball)}, context, findings=True),
            measured(defended, images, careful, context),
        )
