"""Does the attack deserve to be believed? Every check of a robustness report, with its evidence and verdict."""

from collections.abc import Callable, Mapping

from epslab.evaluation.findings import attack_checks, model_checks
from epslab.evaluation.findings.evidence import Checks, Evidence
from epslab.evaluation.findings.finding import Answer, Finding, Verdict

__all__ = ["Checks", "Evidence", "Finding", "Verdict", "judge"]

_CHECKS: Mapping[str, Callable[[Evidence], Answer]] = {
    "iterative beats one-step": attack_checks.iterative_beats_one_step,
    "white-box beats black-box": attack_checks.white_box_beats_black_box,
    "unbounded radius reaches 0 %": attack_checks.unbounded_reaches_zero,
    "accuracy falls with the radius": attack_checks.accuracy_falls,
    "random noise is weaker than the gradient": attack_checks.noise_is_weaker,
    "each attack is stronger than noise": attack_checks.each_beats_noise,
    "gradients are not zero or NaN": model_checks.gradients_exist,
    "more steps and restarts change little": attack_checks.more_changes_little,
    "the model answers deterministically": model_checks.repeats_itself,
    "answers do not depend on batch mates": model_checks.stands_alone,
    "outputs are logits, not probabilities": model_checks.gives_logits,
    "adversarial images survive 8-bit rounding": attack_checks.survives_rounding,
}
_VERDICTS: Mapping[bool | None, Verdict] = {None: "not checked", False: "pass", True: "fail"}


def judge(evidence: Evidence) -> tuple[Finding, ...]:
    """All checks, in order."""
    answers = ((name, check(evidence)) for name, check in _CHECKS.items())
    return tuple(Finding(name, _VERDICTS[answer.failed], answer.evidence, answer.numbers) for name, answer in answers)
