"""Checks that compare attacks on the same examples: whether gradients help as they must, and whether they help enough.

The symptoms of obfuscated gradients are those of Athalye et al. (2018), section 3.1, and Carlini et al. (2019).
"""

from collections.abc import Callable, Mapping
from itertools import pairwise

from epslab.attacks import APGD, PGD, RandomNoise, Restarts, Transfer, WorstCase
from epslab.attacks.attacked import Attack
from epslab.attacks.goals import untargeted
from epslab.classifiers import Proportion
from epslab.evaluation.findings.evidence import Evidence, Outcome, any_of
from epslab.evaluation.findings.finding import Answer
from epslab.evaluation.findings.statistics import MARGIN, at_least, at_most, paired
from epslab.runs import number, radius_text

SURVIVING = 0.9
"""The part of the adversarial images that must still fool the model in 8 bits."""
_WRONG = (
    "Either its code is wrong (are the arguments of Ball.project in order, points before centre?), or this model's"
    " gradients mislead it."
)


def _comparing(check: Callable[[Evidence], Answer]) -> Callable[[Evidence], Answer]:
    """A check that needs reference attacks, and examples they can break."""

    def checked(evidence: Evidence) -> Answer:
        if evidence.ball is None:
            return Answer(None, "No attack has a ball of positive radius to compare others in.")
        if not evidence.right:
            return Answer(None, "The model gets none of these examples right without an attack.")
        return check(evidence)

    return checked


@_comparing
def iterative_beats_one_step(evidence: Evidence) -> Answer:
    """PGD, and each given untargeted iterative attack in its ball, breaks no fewer examples than FGSM."""
    reference = evidence.reference["iterated"]
    iterated = {"PGD": reference} | {
        name: outcome
        for name, outcome in evidence.comparable().items()
        if _iterates(outcome) and outcome.attack is not reference.attack
    }
    return _stronger(iterated, {"one step": evidence.reference["one-step"]})


@_comparing
def white_box_beats_black_box(evidence: Evidence) -> Answer:
    """Gradients break no fewer examples than 100 random draws, and than each given attack that takes no gradients."""
    given = evidence.comparable()
    white = [outcome for outcome in given.values() if outcome.white_box] + [evidence.reference["iterated"]]
    black = {"random search": evidence.reference["search"]} | {
        name: outcome for name, outcome in given.items() if not outcome.white_box
    }
    return _stronger({"gradients": any_of(white)}, black)


@_comparing
def noise_is_weaker(evidence: Evidence) -> Answer:
    """One draw of noise breaks no more examples than FGSM, nor than PGD."""
    gradient = {"FGSM": evidence.reference["one-step"], "PGD": evidence.reference["iterated"]}
    return _stronger(gradient, {"noise": evidence.reference["noise"]})


@_comparing
def each_beats_noise(evidence: Evidence) -> Answer:
    """Each given attack breaks no fewer examples than one draw of noise, and some where the checks' PGD breaks some.

    An attack whose steps lead nowhere, e.g. because the arguments of its projection are swapped, breaks less.
    """
    given = {name: outcome for name, outcome in evidence.comparable().items() if _seeks(outcome.attack)}
    if not given:
        return Answer(None, "No given attack seeks any wrong class of this model in the ball of the checks.")
    noise, pgd = evidence.reference["noise"], evidence.reference["iterated"]
    broken = {label: int(outcome.broken.sum()) for label, outcome in (given | {"noise": noise, "PGD": pgd}).items()}
    counts = ", ".join(f"{label} {count}" for label, count in broken.items())
    n = len(noise.broken)
    if not any(broken.values()):
        return Answer(None, f"None of them breaks any of {n} examples ({counts}).", broken | {"n": n})
    wrong = [f" '{name}' {flaw}" for name, outcome in given.items() if (flaw := _flaw(outcome, noise, pgd))]
    why = f"Examples broken, of {n}: {counts}." + "".join(wrong) + (f" {_WRONG}" if wrong else "")
    return Answer(bool(wrong), why, broken | {"n": n})


@_comparing
def unbounded_reaches_zero(evidence: Evidence) -> Answer:
    """PGD that may go anywhere in the box leaves no example standing, up to ``MARGIN``."""
    left = Proportion.of(~evidence.reference["unbounded"].broken)
    failed, why = at_most(left, MARGIN)
    return Answer(
        failed,
        f"With no bound but the box, PGD leaves {left.successes} of {left.n} examples standing. {why}",
        {"standing": left.successes, "n": left.n},
    )


@_comparing
def accuracy_falls(evidence: Evidence) -> Answer:
    """PGD at 1/2, 1 and 2 times the radius and without bound, from the start each time, breaks more and more examples.

    The sweep could not show it, since an example broken at one radius counts as broken at the greater ones.
    """
    radius = float(evidence.ball.radius)  # type: ignore[union-attr]
    parts = ("half", "iterated", "double", "unbounded")
    broken = [evidence.reference[part].broken for part in parts]
    places = ("0", *(radius_text(factor * radius) for factor in (0.5, 1, 2)), "the whole box")
    standing = [evidence.right] + [int((~each).sum()) for each in broken]
    rises = any(paired(high, low).reversed for low, high in pairwise(broken))
    walk = ", ".join(f"{count} at {place}" for count, place in zip(standing, places, strict=True))
    never = standing[-1] == standing[0]
    flaw = " It never falls." if never else " It rises on the way." if rises else ""
    return Answer(
        never or rises,
        f"Of {evidence.right} examples, PGD leaves standing, by radius: {walk}.{flaw}",
        dict(zip(("clean", *parts), standing, strict=True)),
    )


@_comparing
def more_changes_little(evidence: Evidence) -> Answer:
    """What the given attacks leave standing in the ball, a far more thorough search breaks hardly any of.

    The search is PGD with 100 steps and 3 restarts, then once more on the margin, whose gradient does not vanish where
    the cross-entropy's does.
    """
    given = any_of(evidence.comparable().values()).broken
    more = Proportion.of(evidence.reference["thorough"].broken & ~given)
    failed, why = at_most(more, MARGIN)
    return Answer(
        failed,
        f"The attacks break {int(given.sum())} of {more.n} examples; PGD with 100 steps and 3 restarts, or on the"
        f" margin, breaks {more.successes} more. {why}",
        {"broken": int(given.sum()), "more": more.successes, "n": more.n},
    )


def survives_rounding(evidence: Evidence) -> Answer:
    """Of the examples the given attacks break, ``SURVIVING`` or more are broken by images of 8 bits, too.

    Those are sought in the ball, so that only what cannot be rounded speaks against the attack (``eight_bits``).
    """
    if not evidence.eight_bit:
        return Answer(None, "The images themselves are not of 8 bits.")
    given = any_of(evidence.given.values())
    if not given.broken.any():
        return Answer(None, "No attack breaks any of the examples, so there is nothing to round.")
    measured = Proportion.of(given.survives[given.broken])
    failed, why = at_least(measured, SURVIVING)
    where = "" if evidence.ball is None else " in the ball"
    return Answer(
        failed,
        f"Of {measured.n} broken examples, {measured.successes} are also broken by an image of 8 bits{where}."
        f" {why}" + (" What fools the model lies between the levels of real pixels." if failed else ""),
        {"survive": measured.successes, "broken": measured.n},
    )


def _iterates(outcome: Outcome) -> bool:
    attack = outcome.attack
    return isinstance(attack, APGD) or (isinstance(attack, PGD) and attack.steps > 1 and attack.goal is untargeted)


def _seeks(attack: Attack) -> bool:
    """Whether it seeks any wrong class of this model: not noise, nor another model's images, nor a class of its own."""
    match attack:
        case WorstCase():
            return any(map(_seeks, attack.attacks))
        case Restarts():
            return _seeks(attack.attack)
    return not isinstance(attack, RandomNoise | Transfer) and getattr(attack, "goal", untargeted) is untargeted


def _flaw(outcome: Outcome, noise: Outcome, pgd: Outcome) -> str:
    """What an attack does worse than noise or than nothing, beyond chance; "" where it does not."""
    still = "" if outcome.moved else ", and returns every image as it is"
    less = paired(outcome.broken, noise.broken)
    if less.reversed:
        return f"breaks {less.weaker - less.stronger} fewer than noise (p = {number(less.p)}, McNemar's test){still}."
    if not outcome.broken.any() and (less := paired(outcome.broken, pgd.broken)).reversed:
        return f"breaks none, of which PGD breaks {less.weaker}{still}."
    if still and noise.broken.any():
        return f"returns every image as it is, and noise breaks {int(noise.broken.sum())}."
    return ""


def _stronger(strong: Mapping[str, Outcome], weak: Mapping[str, Outcome]) -> Answer:
    """Whether each strong attack breaks no fewer examples than each weak one, up to noise."""
    pairs = {(a, b): paired(x.broken, y.broken) for a, x in strong.items() for b, y in weak.items()}
    broken = {label: int(outcome.broken.sum()) for label, outcome in (*strong.items(), *weak.items())}
    n = next(iter(pairs.values())).n
    counts = ", ".join(f"{label} {count}" for label, count in broken.items())
    if not any(broken.values()):
        return Answer(None, f"None of them breaks any of {n} examples ({counts}).", broken | {"n": n})
    wrong = [
        f" {low[0].upper()}{low[1:]} beats {high}: it breaks {pair.weaker - pair.stronger} more, and chance gives such"
        f" a difference with p = {number(pair.p)} (McNemar's test)."
        for (high, low), pair in pairs.items()
        if pair.reversed
    ]
    return Answer(bool(wrong), f"Examples broken, of {n}: {counts}." + "".join(wrong), broken | {"n": n})
