"""Checks that compare attacks on the same examples: whether gradients help as they must, and whether they help enough.

The symptoms of obfuscated gradients are those of Athalye et al. (2018), section 3.1, and Carlini et al. (2019).
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

import torch

from epslab.attacks import APGD, PGD
from epslab.attacks.goals import untargeted
from epslab.classifiers import Proportion
from epslab.evaluation.findings.evidence import Evidence, Outcome
from epslab.evaluation.findings.finding import Finding
from epslab.evaluation.findings.statistics import MARGIN, Paired, at_least, at_most, paired
from epslab.runs import radius_text

SURVIVING = 0.9
"""The part of the adversarial images that must still fool the model in 8 bits."""


def _needs_attacks(name: str) -> Callable[[Callable[[Evidence], Finding]], Callable[[Evidence], Finding]]:
    """A check that needs reference attacks, and examples they can break."""

    def decorate(check: Callable[[Evidence], Finding]) -> Callable[[Evidence], Finding]:
        def checked(evidence: Evidence) -> Finding:
            if evidence.ball is None:
                return Finding(name, "not checked", "No attack has a ball of positive radius to compare others in.")
            if not evidence.right:
                return Finding(name, "not checked", "The model gets none of these examples right without an attack.")
            return check(evidence)

        return checked

    return decorate


@_needs_attacks("iterative beats one-step")
def iterative_beats_one_step(evidence: Evidence) -> Finding:
    """PGD, and each given untargeted iterative attack in its ball, breaks no fewer examples than FGSM."""
    reference = evidence.reference["iterated"]
    iterated = {"PGD": reference} | {
        name: outcome
        for name, outcome in evidence.comparable().items()
        if _iterates(outcome) and outcome.attack is not reference.attack
    }
    return _stronger("iterative beats one-step", iterated, {"one step": evidence.reference["one-step"]})


@_needs_attacks("white-box beats black-box")
def white_box_beats_black_box(evidence: Evidence) -> Finding:
    """Gradients break no fewer examples than 100 random draws, and than each given attack that takes no gradients."""
    given = evidence.comparable()
    white = [outcome for outcome in given.values() if outcome.white_box] + [evidence.reference["iterated"]]
    broken = torch.stack([outcome.broken for outcome in white]).any(0)
    black = {"random search": evidence.reference["search"]} | {
        name: outcome for name, outcome in given.items() if not outcome.white_box
    }
    best = {"gradients": Outcome(white[-1].attack, broken, white[-1].survives, True)}
    return _stronger("white-box beats black-box", best, black)


@_needs_attacks("random noise is weaker than the gradient")
def noise_is_weaker(evidence: Evidence) -> Finding:
    """One draw of noise breaks no more examples than FGSM, nor than PGD."""
    gradient = {"FGSM": evidence.reference["one-step"], "PGD": evidence.reference["iterated"]}
    return _stronger("random noise is weaker than the gradient", gradient, {"noise": evidence.reference["noise"]})


@_needs_attacks("unbounded radius reaches 0 %")
def unbounded_reaches_zero(evidence: Evidence) -> Finding:
    """PGD that may go anywhere in the box leaves no example standing, up to ``MARGIN``."""
    left = Proportion.of(~evidence.reference["unbounded"].broken)
    decision = at_most(left, MARGIN)
    return Finding(
        "unbounded radius reaches 0 %",
        "fail" if decision.failed else "pass",
        f"With no bound but the box, PGD leaves {left.successes} of {left.n} examples standing. {decision.why}",
        {"standing": left.successes, "n": left.n},
    )


@_needs_attacks("accuracy falls with the radius")
def accuracy_falls(evidence: Evidence) -> Finding:
    """PGD at 1/2, 1 and 2 times the radius and without bound, from the start each time, breaks more and more examples.

    The sweep could not show it, since an example broken at one radius counts as broken at the greater ones.
    """
    name = "accuracy falls with the radius"
    radius = float(evidence.ball.radius)  # type: ignore[union-attr]
    parts = ("half", "iterated", "double", "unbounded")
    broken = [evidence.reference[part].broken for part in parts]
    places = ("0", *(radius_text(factor * radius) for factor in (0.5, 1, 2)), "the whole box")
    standing = [evidence.right] + [int((~each).sum()) for each in broken]
    rises = [paired(high, low).reversed for low, high in pairwise(broken)]
    walk = ", ".join(f"{count} at {place}" for count, place in zip(standing, places, strict=True))
    never = standing[-1] == standing[0]
    flaw = " It never falls." if never else " It rises on the way." if any(rises) else ""
    return Finding(
        name,
        "fail" if never or any(rises) else "pass",
        f"Of {evidence.right} examples, PGD leaves standing, by radius: {walk}.{flaw}",
        dict(zip(("clean", *parts), standing, strict=True)),
    )


@_needs_attacks("more steps and restarts change little")
def more_changes_little(evidence: Evidence) -> Finding:
    """What the given attacks leave standing in the ball, a far more thorough search breaks hardly any of.

    The search is PGD with 100 steps and 3 restarts, then once more on the margin, whose gradient does not vanish where
    the cross-entropy's does.
    """
    name = "more steps and restarts change little"
    given = torch.stack([outcome.broken for outcome in evidence.comparable().values()]).any(0)
    more = Proportion.of(evidence.reference["thorough"].broken & ~given)
    decision = at_most(more, MARGIN)
    return Finding(
        name,
        "fail" if decision.failed else "pass",
        f"The attacks break {int(given.sum())} of {more.n} examples; PGD with 100 steps and 3 restarts, or on the"
        f" margin, breaks {more.successes} more. {decision.why}",
        {"broken": int(given.sum()), "more": more.successes, "n": more.n},
    )


def survives_rounding(evidence: Evidence) -> Finding:
    """Of the examples the given attacks break, ``SURVIVING`` or more are broken by images of 8 bits, too.

    Those are sought in the ball, so that only what cannot be rounded speaks against the attack (``eight_bits``).
    """
    name = "adversarial images survive 8-bit rounding"
    if not evidence.eight_bit:
        return Finding(name, "not checked", "The images themselves are not of 8 bits.")
    outcomes = evidence.given.values()
    broken = torch.stack([outcome.broken for outcome in outcomes]).any(0)
    survives = torch.stack([outcome.survives for outcome in outcomes]).any(0)
    if not broken.any():
        return Finding(name, "not checked", "No attack breaks any of the examples, so there is nothing to round.")
    measured = Proportion.of(survives[broken])
    decision = at_least(measured, SURVIVING)
    return Finding(
        name,
        "fail" if decision.failed else "pass",
        f"Of {measured.n} broken examples, {measured.successes} are also broken by an image of 8 bits in the ball."
        f" {decision.why}"
        + (" What fools the model lies between the levels of real pixels." if decision.failed else ""),
        {"survive": measured.successes, "broken": measured.n},
    )


def _iterates(outcome: Outcome) -> bool:
    attack = outcome.attack
    return isinstance(attack, APGD) or (isinstance(attack, PGD) and attack.steps > 1 and attack.goal is untargeted)


def _stronger(name: str, strong: Mapping[str, Outcome], weak: Mapping[str, Outcome]) -> Finding:
    """Whether each strong attack breaks no fewer examples than each weak one, up to noise."""
    pairs = {(a, b): paired(x.broken, y.broken) for a, x in strong.items() for b, y in weak.items()}
    n = next(iter(pairs.values())).n
    numbers = {label: int(outcome.broken.sum()) for label, outcome in (*strong.items(), *weak.items())} | {"n": n}
    counts = ", ".join(f"{label} {count}" for label, count in numbers.items() if label != "n")
    if all(pair.nothing for pair in pairs.values()):
        return Finding(name, "not checked", f"None of them breaks any of {n} examples ({counts}).", numbers)
    wrong = {labels: pair for labels, pair in pairs.items() if pair.reversed}
    return Finding(
        name,
        "fail" if wrong else "pass",
        f"Examples broken, of {n}: {counts}." + "".join(_against(*labels, pair) for labels, pair in wrong.items()),
        numbers,
    )


def _against(strong: str, weak: str, pair: Paired) -> str:
    return (
        f" {weak[0].upper()}{weak[1:]} beats {strong}: it breaks {pair.weaker - pair.stronger} more, and chance gives"
        f" such a difference with p = {pair.p:.1g} (McNemar's test)."
    )
