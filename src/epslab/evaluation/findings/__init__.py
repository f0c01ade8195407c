"""Does the attack deserve to be believed? Every check of a robustness report, with its evidence and verdict."""

from epslab.evaluation.findings.attack_checks import (
    accuracy_falls,
    iterative_beats_one_step,
    more_changes_little,
    noise_is_weaker,
    survives_rounding,
    unbounded_reaches_zero,
    white_box_beats_black_box,
)
from epslab.evaluation.findings.evidence import Checks, Evidence
from epslab.evaluation.findings.finding import Finding, Verdict
from epslab.evaluation.findings.model_checks import gives_logits, gradients_exist, repeats_itself, stands_alone

__all__ = ["Checks", "Evidence", "Finding", "Verdict", "judge"]

_CHECKS = (
    iterative_beats_one_step,
    white_box_beats_black_box,
    unbounded_reaches_zero,
    accuracy_falls,
    noise_is_weaker,
    gradients_exist,
    more_changes_little,
    repeats_itself,
    stands_alone,
    gives_logits,
    survives_rounding,
)


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """All checks, in order."""
    return tuple(check(evidence) for check in _CHECKS)
