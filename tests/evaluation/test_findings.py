"""Each finding trips on a model built for it, and passes on a good one; the statistics behind the verdicts."""

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from robust_samples import digits, linear_task, trained
from torch import Tensor, nn
from torch.nn import functional as F

from epslab.attacks import (
    APGD,
    FGSM,
    PGD,
    Attack,
    Attacked,
    IterativeFGSM,
    LeastLikely,
    RandomNoise,
    Restarts,
    Transfer,
    WorstCase,
    least_likely,
    margin,
)
from epslab.classifiers import Proportion
from epslab.evaluation import Finding, evaluate_robustness
from epslab.evaluation.findings import Evidence, judge
from epslab.evaluation.findings import evidence as gathered
from epslab.evaluation.findings.evidence import Checks, Outcome, reference_attacks
from epslab.evaluation.findings.statistics import Decision, at_least, at_most, paired
from epslab.geometry import L2, Ball, Linf
from epslab.types import Classifier, Images, Logits

BALL = Linf(0.1)
NAMES = (
    "iterative beats one-step",
    "white-box beats black-box",
    "unbounded radius reaches 0 %",
    "accuracy falls with the radius",
    "random noise is weaker than the gradient",
    "each attack is stronger than noise",
    "gradients are not zero or NaN",
    "more steps and restarts change little",
    "the model answers deterministically",
    "answers do not depend on batch mates",
    "outputs are logits, not probabilities",
    "adversarial images survive 8-bit rounding",
)
THOROUGH: dict[str, Attack] = {"fgsm": FGSM(BALL), "pgd": PGD(BALL, steps=20, leave_early=False)}


@pytest.fixture(autouse=True)
def brief(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks' own attacks with a few steps, so that the tests are short; the good model meets the real ones."""

    def shortened(ball: Ball) -> dict[str, Attack]:
        brief: dict[str, Attack] = {
            name: replace(attack, steps=8) if isinstance(attack, PGD) and attack.random_start else attack
            for name, attack in reference_attacks(ball).items()
        }
        thorough = WorstCase((PGD(ball, steps=12), PGD(ball, steps=12, objective=margin)))
        unbounded = replace(brief["unbounded"], steps=15)  # type: ignore[type-var]
        return brief | {"search": RandomNoise(ball, draws=15), "thorough": thorough, "unbounded": unbounded}

    if "real_checks" not in request.fixturenames:
        monkeypatch.setattr(gathered, "reference_attacks", shortened)


@pytest.fixture
def real_checks() -> None:
    """The checks' attacks as they are."""


N = 50


def found(model: Classifier, attacks: dict[str, Attack] | None = None, n: int = N) -> dict[str, Finding]:
    """The findings on a model of digits, by name."""
    x, y = digits()
    report = evaluate_robustness(model, x[:n], y[:n], attacks or THOROUGH, sweep=None)
    assert tuple(finding.name for finding in report.findings) == NAMES
    return {finding.name: finding for finding in report.findings}


def failed(findings: dict[str, Finding]) -> set[str]:
    return {name for name, finding in findings.items() if finding.verdict == "fail"}


@cache
def of_good_model() -> dict[str, Finding]:
    return found(trained())


def test_a_good_model_under_good_attacks_passes_every_check(real_checks: None) -> None:
    findings = found(trained(), n=120)
    assert {name: finding.verdict for name, finding in findings.items()} == dict.fromkeys(NAMES, "pass")


def test_evidence_gives_the_numbers() -> None:
    findings = of_good_model()
    numbers = findings["accuracy falls with the radius"].numbers
    standing = [numbers[part] for part in ("clean", "half", "iterated", "double", "unbounded")]
    assert standing == sorted(standing, reverse=True)
    assert standing[-1] == 0 < standing[2] < standing[0] == findings["iterative beats one-step"].numbers["n"]
    for finding in findings.values():
        assert finding.to_dict()["numbers"] == dict(finding.numbers)
        assert finding.evidence.endswith((".", "!"))
    evidence = findings["unbounded radius reaches 0 %"].evidence
    assert f"leaves 0 of {standing[0]} examples standing. That is 0 %, within the 1 % allowed." in evidence


# --- models built to trip a check


class Saturated(nn.Module):
    """Logits times 1000: in float32 the softmax is exactly one-hot, and the cross-entropy's gradient exactly zero."""

    def __init__(self) -> None:
        super().__init__()
        self.net = trained()

    def forward(self, images: Images) -> Logits:
        logits: Tensor = self.net(images) * 1000
        return logits


def test_saturated_logits(real_checks: None) -> None:
    x, y = digits()
    images = x.clone().requires_grad_(True)
    loss = F.cross_entropy(Saturated()(images), y)
    assert torch.autograd.grad(loss, images)[0].flatten(1).abs().amax(1).eq(0).float().mean() > 0.5  # the trap is set
    findings = found(Saturated(), n=30)
    assert {
        "gradients are not zero or NaN",
        "more steps and restarts change little",
        "unbounded radius reaches 0 %",
    } <= failed(findings)
    assert findings["gradients are not zero or NaN"].numbers["zero"] > 15
    assert findings["more steps and restarts change little"].numbers["more"] > 6


def test_a_step_that_is_not_differentiable() -> None:
    """Pixels rounded to five levels: gradients are zero, and noise finds what they do not."""
    findings = found(lambda x: trained()((x * 4).round() / 4))
    names = {"gradients are not zero or NaN", "unbounded radius reaches 0 %", "accuracy falls with the radius"}
    assert names <= failed(findings)
    assert findings["gradients are not zero or NaN"].numbers["zero"] == N
    assert "never falls" in findings["accuracy falls with the radius"].evidence


def test_a_model_that_cuts_its_graph() -> None:
    def cut(images: Images) -> Logits:
        with torch.no_grad():
            logits: Tensor = trained()(images)
        return logits

    assert found(cut)["gradients are not zero or NaN"].numbers["zero"] == N


def test_gradients_that_are_not_finite() -> None:
    """The derivative of √0 is infinite, and infinite times zero is NaN."""

    def rooted(images: Images) -> Logits:
        logits: Tensor = trained()(images) + 0 * (images - images.detach()).abs().sqrt().sum((1, 2, 3))[:, None]
        return logits

    finding = found(rooted)["gradients are not zero or NaN"]
    assert finding.verdict == "fail"
    assert finding.numbers["not finite"] == N


def test_a_random_model() -> None:
    def noisy(images: Images) -> Logits:
        logits: Tensor = trained()(images + 0.3 * torch.randn_like(images))
        return logits

    finding = found(noisy)["the model answers deterministically"]
    assert finding.verdict == "fail"
    assert finding.numbers["flipped"] > 0
    assert of_good_model()["the model answers deterministically"].numbers["change"] == 0.0


def test_a_model_whose_answers_depend_on_batch_mates() -> None:
    def normalising(images: Images) -> Logits:
        logits: Tensor = trained()(images / (0.5 + images.mean()) * 0.8)
        return logits

    assert failed(found(normalising)) & {NAMES[8], NAMES[9]} == {"answers do not depend on batch mates"}


def test_probabilities_are_found_out_and_log_probabilities_are_fine() -> None:
    model = trained()
    finding = found(lambda x: model(x).softmax(1))["outputs are logits, not probabilities"]
    assert finding.verdict == "fail"
    assert "return what goes into the softmax" in finding.evidence
    finding = found(lambda x: model(x).log_softmax(1))["outputs are logits, not probabilities"]
    assert finding.verdict == "pass"
    assert "log-probabilities, which serve as logits" in finding.evidence


class Masked(nn.Module):
    """A gradient that points the wrong way: the forward pass is the net's own, the backward pass the opposite."""

    def forward(self, images: Images) -> Logits:
        logits: Tensor = trained()(2 * images.detach() - images)
        return logits


def test_a_masked_gradient_is_beaten_by_noise_and_by_another_models_gradient() -> None:
    x = digits()[0]
    assert torch.equal(Masked()(x), trained()(x))
    attacks: dict[str, Attack] = {"pgd": PGD(BALL), "borrowed": Transfer(trained(), PGD(BALL))}
    findings = found(Masked(), attacks)
    assert {"white-box beats black-box", "unbounded radius reaches 0 %"} <= failed(findings)
    assert "Borrowed beats gradients" in findings["white-box beats black-box"].evidence
    # One draw of larger noise shows it too.
    assert "random noise is weaker than the gradient" in failed(found(Masked(), {"pgd": PGD(Linf(0.3))}))


# --- attacks built to trip a check


def test_an_attack_that_is_too_weak() -> None:
    findings = found(trained(), {"pgd": PGD(BALL, steps=5, step_size=1e-4, random_start=False)})
    assert {"iterative beats one-step", "more steps and restarts change little"} <= failed(findings)
    assert "One step beats pgd" in findings["iterative beats one-step"].evidence
    assert failed(found(trained(), {"noise": RandomNoise(BALL)})) == {"more steps and restarts change little"}


@dataclass(frozen=True)
class Mine:
    """PGD as a user writes it, from the protocol alone; ``swapped``: with the arguments of the projection swapped."""

    ball: Ball
    swapped: bool = False
    norm: str = "linf"

    @property
    def radius(self) -> float:
        return float(self.ball.radius)  # type: ignore[arg-type]

    def part(self, index: Tensor) -> "Mine":
        return self

    def thorough(self) -> "Mine":
        return self

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        seeds: Tensor | None = None,
    ) -> Attacked:
        x = images.clone()
        for _ in range(10):
            x.requires_grad_(True)
            (slope,) = torch.autograd.grad(F.cross_entropy(model(x), labels, reduction="sum"), x)
            ahead = x.detach() + self.radius / 4 * slope.sign()
            inside = self.ball.project(images, ahead) if self.swapped else self.ball.project(ahead, images)
            x = inside.clamp(0, 1)
        spent = torch.zeros_like(labels)
        success = model(x).argmax(1) != labels
        return Attacked(x, success, self.ball.distance(x, images), spent, spent)


def test_an_attack_whose_projection_is_swapped_is_found_out() -> None:
    findings = found(trained(), {"mine": Mine(BALL, swapped=True), "fgsm": FGSM(BALL)})
    (flaw,) = (finding for finding in findings.values() if finding.name == NAMES[5])
    assert flaw.verdict == "fail"
    assert flaw.numbers["mine"] == 0 < flaw.numbers["PGD"]
    assert "'mine' breaks none, of which PGD breaks" in flaw.evidence
    assert "returns every image as it is. Either its code is wrong (are the arguments of Ball.project" in flaw.evidence
    assert found(trained(), {"mine": Mine(BALL), "fgsm": FGSM(BALL)})[NAMES[5]].verdict == "pass"


def test_sound_attacks_are_not_said_to_be_weaker_than_noise() -> None:
    """Also where none breaks anything, where one has a target, where gradients are another model's."""
    assert found(trained(), {"pgd": PGD(Linf(0.001)), "mine": Mine(Linf(0.001))})[NAMES[5]].verdict == "not checked"
    others: dict[str, Attack] = {
        "noise": RandomNoise(BALL),
        "target": LeastLikely(BALL),
        "borrowed": Transfer(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), FGSM(BALL)),
        "elsewhere": PGD(Linf(0.001)),
        "repeated": Restarts(RandomNoise(BALL), 2),
    }
    assert found(trained(), others)[NAMES[5]].evidence == (
        "No given attack seeks any wrong class of this model in the ball of the checks."
    )
    several = WorstCase((RandomNoise(BALL), PGD(BALL, steps=8)))
    assert found(trained(), others | {"several": several})[NAMES[5]].verdict == "pass"


@pytest.mark.parametrize(
    ("mine", "moved", "noise", "pgd", "verdict", "says"),
    [
        (30, True, 36, 60, "pass", ""),
        (30, True, 37, 60, "fail", "'mine' breaks 7 fewer than noise (p = 0.00781, McNemar's test). Either"),
        (30, False, 60, 60, "fail", "and returns every image as it is. Either"),
        (0, True, 0, 6, "pass", ""),
        (0, True, 0, 7, "fail", "'mine' breaks none, of which PGD breaks 7. Either"),
        (1, True, 0, 60, "pass", ""),
        (0, True, 1, 1, "pass", ""),
        (0, False, 1, 1, "fail", "'mine' returns every image as it is, and noise breaks 1. Either"),
        (0, False, 0, 6, "pass", ""),
        (0, False, 0, 0, "not checked", "None of them breaks any of 100 examples (mine 0, noise 0, PGD 0)."),
    ],
)
def test_an_attack_is_compared_with_noise_and_with_nothing(
    mine: int, moved: bool, noise: int, pgd: int, verdict: str, says: str
) -> None:
    given = {"mine": Outcome(FGSM(BALL), first(mine), first(mine), True, moved)}
    whole = replace(evidence(noise=first(noise), iterated=first(pgd)), given=given)
    finding = finding_of(whole, NAMES[5])
    assert finding.verdict == verdict
    assert says in finding.evidence
    assert finding.numbers == {"mine": mine, "noise": noise, "PGD": pgd, "n": 100}


def test_a_model_in_numpy_has_no_gradient_and_the_finding_says_so() -> None:
    finding = found(lambda x: trained()(torch.as_tensor(x)).detach().numpy())["gradients are not zero or NaN"]
    assert finding.verdict == "fail"
    assert "no gradient (it computes in numpy, or detaches)" in finding.evidence
    assert "numpy" not in of_good_model()["gradients are not zero or NaN"].evidence


# --- what is not checked


def test_without_a_ball_or_a_right_example_attacks_are_not_compared() -> None:
    assert {found(trained(), {"still": PGD(Linf(0.0))})[name].verdict for name in NAMES[:6]} == {"not checked"}
    model, x, y = linear_task()
    report = evaluate_robustness(model, x[:3], y[:3], {"fgsm": FGSM(BALL)}, sweep=None)
    assert report.clean_accuracy == 0.0
    verdicts = {finding.name: finding for finding in report.findings}
    assert "gets none of these examples right" in verdicts["iterative beats one-step"].evidence
    assert verdicts["adversarial images survive 8-bit rounding"].verdict == "not checked"
    single = evaluate_robustness(model, x[:1], y[:1], {"fgsm": FGSM(BALL)}, sweep=None).findings[9]
    assert (single.verdict, single.evidence) == ("not checked", "There is only one example.")


def evidence(**changes: Any) -> Evidence:
    """Evidence of 100 examples of which nothing is broken, with changes to the reference attacks."""
    none = Outcome(FGSM(BALL), torch.zeros(100, dtype=torch.bool), torch.zeros(100, dtype=torch.bool), True, True)
    reference = {name: replace(none, attack=attack) for name, attack in reference_attacks(BALL).items()}
    for name, broken in changes.items():
        reference[name] = replace(reference[name], broken=broken)
    probes = {name: torch.zeros(100) for name in ("repeat", "total", "lowest", "highest", "normaliser")}
    probes |= {name: torch.zeros(100, dtype=torch.bool) for name in ("cut", "zero", "not_finite", "flipped")}
    return Evidence(100, BALL, {"fgsm": none}, reference, probes, None, True, 1e-7)


def first(count: int, of: int = 100) -> Tensor:
    return torch.arange(of) < count


@pytest.mark.parametrize("ball", [BALL, None])
@pytest.mark.parametrize(("surviving", "verdict"), [(50, "pass"), (10, "fail")])
def test_what_is_lost_in_8_bits_is_said_where_it_is_lost(surviving: int, verdict: str, ball: Ball | None) -> None:
    given = Outcome(FGSM(BALL), first(50), first(surviving), True, True)
    found = replace(
        evidence(), ball=ball, given={"fgsm": given}, reference={} if ball is None else evidence().reference
    )
    finding = next(finding for finding in judge(found) if finding.name == "adversarial images survive 8-bit rounding")
    assert finding.verdict == verdict
    assert finding.numbers == {"survive": surviving, "broken": 50}
    assert ("lies between the levels" in finding.evidence) == (verdict == "fail")
    assert ("in the ball" in finding.evidence) == (ball is not None)


def test_where_no_attack_breaks_anything_there_is_nothing_to_compare() -> None:
    verdicts = {finding.name: finding.verdict for finding in judge(evidence())}
    compared = ("iterative beats one-step", "white-box beats black-box", "random noise is weaker than the gradient")
    assert {verdicts[name] for name in compared} == {"not checked"}
    assert verdicts["unbounded radius reaches 0 %"] == verdicts["accuracy falls with the radius"] == "fail"


@pytest.mark.parametrize(("noise", "verdict"), [(30, "pass"), (33, "pass"), (36, "pass"), (37, "fail"), (60, "fail")])
def test_a_difference_within_noise_is_no_failure(noise: int, verdict: str) -> None:
    """30 against noise's 36 nested in it: p = 2⁻⁶ = 0.016; 37: p = 2⁻⁷ = 0.008 < 0.01."""
    stated = evidence(**{"one-step": first(30), "iterated": first(60), "noise": first(noise)})
    (finding,) = [f for f in judge(stated) if f.name == "random noise is weaker than the gradient"]
    assert finding.verdict == verdict
    assert ("Noise beats FGSM" in finding.evidence) == (verdict == "fail")


def test_accuracy_that_rises_on_the_way_is_no_fall() -> None:
    whole = {"half": first(50), "iterated": first(30), "double": first(80), "unbounded": first(100)}
    (finding,) = [f for f in judge(evidence(**whole)) if f.name == "accuracy falls with the radius"]
    assert finding.verdict == "fail"
    assert finding.evidence.endswith("It rises on the way.")
    assert "100 at 0, 50 at 0.05, 70 at 0.1, 20 at 0.2, 0 at the whole box" in finding.evidence


@pytest.mark.parametrize("before", [0, 100])
def test_accuracy_that_falls_at_the_end_or_at_once_has_fallen(before: int) -> None:
    radii = dict.fromkeys(("half", "iterated", "double"), first(before))
    assert finding_of(evidence(**radii, unbounded=first(100)), NAMES[3]).verdict == "pass"


@pytest.mark.parametrize(("survive", "verdict"), [(40, "pass"), (34, "pass"), (28, "fail")])
def test_survival_is_that_of_the_broken_examples(survive: int, verdict: str) -> None:
    """34 of 40 is less than 90 %, but not beyond doubt: it happens in a fifth of all cases where 90 % survive."""
    whole = evidence()
    given = {"fgsm": Outcome(FGSM(BALL), first(40), first(survive), True, True)}
    (finding,) = [f for f in judge(replace(whole, given=given)) if f.name == NAMES[-1]]
    assert (finding.verdict, finding.numbers) == (verdict, {"survive": survive, "broken": 40})


def finding_of(whole: Evidence, name: str) -> Finding:
    (finding,) = [finding for finding in judge(whole) if finding.name == name]
    return finding


def test_attacks_of_another_ball_are_not_compared() -> None:
    """Neither as the stronger nor as the weaker one, nor in what more steps are measured against."""
    whole = evidence(**{"one-step": first(60), "iterated": first(60), "search": first(30), "thorough": first(90)})
    weak_elsewhere = {"pgd": Outcome(PGD(Linf(0.05)), first(10), first(10), True, True)}
    assert "pgd" not in finding_of(replace(whole, given=weak_elsewhere | whole.given), NAMES[0]).evidence
    strong_elsewhere = {"noise": Outcome(RandomNoise(Linf(0.3)), first(100), first(100), False, True)}
    assert finding_of(replace(whole, given=strong_elsewhere | whole.given), NAMES[1]).verdict == "pass"
    thorough = finding_of(replace(whole, given=strong_elsewhere | whole.given), NAMES[7])
    assert (thorough.verdict, thorough.numbers["broken"], thorough.numbers["more"]) == ("fail", 0, 90)


def test_what_any_gradient_attack_breaks_counts_for_gradients() -> None:
    """Two gradient attacks that break different halves are together as strong as noise that breaks both."""
    halves = {"low": first(40), "high": first(80) & ~first(40)}
    given = {name: Outcome(APGD(BALL), broken, broken, True, True) for name, broken in halves.items()}
    given["noise"] = Outcome(RandomNoise(BALL), first(80), first(80), False, True)
    whole = replace(evidence(), given=given)
    finding = finding_of(whole, NAMES[1])
    assert (finding.verdict, finding.numbers["gradients"], finding.numbers["noise"]) == ("pass", 80, 80)
    assert finding_of(replace(whole, given=given | {"high": given["low"]}), NAMES[1]).verdict == "fail"
    # The same holds of what the attacks leave to a more thorough one, and of what survives rounding.
    thorough = evidence(thorough=first(80))
    assert finding_of(replace(thorough, given=given), NAMES[7]).numbers["more"] == 0
    assert finding_of(replace(thorough, given=given), NAMES[-1]).numbers == {"survive": 80, "broken": 80}


def test_a_target_or_one_step_is_no_iterative_attack() -> None:
    """A weak attack is told of only where it should have beaten one step; the checks' own PGD is told of once."""
    whole = evidence(**{"one-step": first(60), "iterated": first(60)})
    for attack, told in ((PGD(BALL, steps=3), True), (APGD(BALL), True), (IterativeFGSM(BALL), True),
                         (PGD(BALL, steps=2), True), (PGD(BALL, steps=1), False), (FGSM(BALL), False),
                         (PGD(BALL, steps=3, goal=least_likely), False), (RandomNoise(BALL), False)):  # fmt: skip
        given = {"mine": Outcome(attack, first(30), first(30), True, True)}
        finding = finding_of(replace(whole, given=given), NAMES[0])
        assert (finding.verdict == "fail") == told
        assert ("mine" in finding.numbers) == told
    own = {"mine": whole.reference["iterated"]}
    assert finding_of(replace(whole, given=own), NAMES[0]).numbers == {"PGD": 60, "one step": 60, "n": 100}


def probing(**changes: Any) -> Evidence:
    whole = evidence()
    return replace(whole, probes=dict(whole.probes) | changes)


@pytest.mark.parametrize(
    ("change", "name", "verdict"),
    [
        ({"flipped": first(1)}, NAMES[8], "fail"),
        ({"repeat": torch.full((100,), 3e-4)}, NAMES[8], "pass"),
        ({"repeat": torch.full((100,), 3.3e-4)}, NAMES[8], "fail"),
        ({"repeat": first(1) * 1.0}, NAMES[8], "fail"),
        ({"zero": first(4)}, NAMES[6], "pass"),
        ({"zero": first(5)}, NAMES[6], "fail"),
        ({"not_finite": first(5)}, NAMES[6], "fail"),
        ({"zero": first(5), "not_finite": first(5)}, NAMES[6], "fail"),
        ({"zero": first(2), "not_finite": ~first(97)}, NAMES[6], "fail"),
        ({"total": torch.ones(100), "highest": torch.ones(100)}, NAMES[10], "fail"),
        ({"total": torch.ones(100) + 2e-3, "highest": torch.ones(100)}, NAMES[10], "pass"),
        ({"total": torch.ones(100), "highest": torch.ones(100), "lowest": first(1) * -1.0}, NAMES[10], "pass"),
        ({"total": 1 + first(1) * 1.0, "highest": torch.ones(100)}, NAMES[10], "pass"),
    ],
)
def test_the_limits_of_the_probes(change: dict[str, Tensor], name: str, verdict: str) -> None:
    """The square root of 1e-7 is 3.16e-4; 5 of 100 are the fewest whose lower bound is above 1 %."""
    assert finding_of(probing(**change), name).verdict == verdict


def test_the_probes_findings_say_what_was_seen() -> None:
    repeat = first(1) * 0.25 + first(2) * 0.25
    said = finding_of(probing(flipped=first(3), repeat=repeat), NAMES[8])
    assert said.numbers == {"change": 0.5, "flipped": 3, "n": 100}
    assert said.evidence == (
        "Asked twice, logits differ by up to 0.5 of the largest logit (up to 0.000316 is allowed), and 3 of 100"
        " predictions change (none may). Let it draw from the seeds it is given, or attack the average over its noise."
    )
    assert finding_of(probing(flipped=first(3)), NAMES[8]).evidence.endswith("change (none may).")
    said = finding_of(probing(zero=first(2), not_finite=first(3)), NAMES[6])
    assert said.numbers == {"zero": 2, "not finite": 3, "n": 100}
    normalised = finding_of(probing(total=first(100) * -2.0, normaliser=first(100) * 0.9e-3), NAMES[10])
    assert "they are log-probabilities" in normalised.evidence
    for size in (1.1e-3, -1.1e-3):
        assert "rows do not sum to 1" in finding_of(probing(normaliser=first(1) * size), NAMES[10]).evidence
    said = finding_of(probing(lowest=first(1) * -2.0, highest=first(1) * 3.0, normaliser=first(100) * 9.0), NAMES[10])
    assert said.numbers == {"lowest": -2, "highest": 3}
    assert said.evidence == "Outputs run from −2 to 3; their rows do not sum to 1."


def test_alone_a_small_change_is_rounding_and_a_larger_one_is_not() -> None:
    for change, verdict in ((0.0099, "pass"), (0.0101, "fail")):
        alone = {"repeat": first(1, 32) * change, "flipped": first(2, 32)}
        finding = finding_of(replace(evidence(), alone=alone), NAMES[9])
        assert finding.verdict == verdict
        assert finding.numbers == {"change": pytest.approx(change), "flipped": 2, "n": 32}


@pytest.mark.parametrize(("left", "verdict"), [(0, "pass"), (1, "pass"), (4, "pass"), (5, "fail")])
def test_how_many_may_be_left_without_a_bound_and_found_by_more_steps(left: int, verdict: str) -> None:
    assert finding_of(evidence(unbounded=first(100 - left)), NAMES[2]).verdict == verdict
    assert finding_of(evidence(thorough=first(left)), NAMES[7]).verdict == verdict


# --- statistics


def test_paired_is_mcnemars_exact_test() -> None:
    from scipy.stats import binomtest

    stronger, weaker = first(60), torch.arange(100) >= 45
    pair = paired(stronger, weaker)
    assert (pair.stronger, pair.weaker, pair.only_weaker) == (60, 55, 40)
    assert pair.p == pytest.approx(binomtest(40, 85, 0.5, alternative="greater").pvalue, rel=1e-12)
    assert not pair.reversed
    assert paired(first(0), first(0)).p == 1.0
    # Of 2000 examples 8 are beyond chance, p = 2⁻⁸, but not beyond the margin of 1 %.
    assert not paired(first(0, 2000), first(8, 2000)).reversed
    assert paired(first(0, 2000), first(21, 2000)).reversed
    # Of 700 the margin is 7.
    assert not paired(first(0, 700), first(7, 700)).reversed
    assert paired(first(0, 700), first(8, 700)).reversed


def test_limits_are_those_of_clopper_and_pearson() -> None:
    for k, n, limit in ((3, 30, 0.01), (2, 30, 0.01), (7, 256, 0.01), (8, 256, 0.01)):
        # Beyond doubt: with a true share at the limit, k or more would happen in less than 1 % of all cases.
        tail = 1 - sum(math.comb(n, i) * limit**i * (1 - limit) ** (n - i) for i in range(k))
        assert at_most(Proportion(k, n), limit).failed == (tail < 0.01)
        assert at_least(Proportion(n - k, n), 1 - limit).failed == (tail < 0.01)


@pytest.mark.parametrize(
    ("decision", "failed", "why"),
    [
        (at_most(Proportion(1, 150), 0.01), False, "That is 0.667 %, within the 1 % allowed."),
        (at_most(Proportion(2, 200), 0.01), False, "That is 1 %, within the 1 % allowed."),
        (
            at_most(Proportion(4, 150), 0.01),
            False,
            "That is 2.67 %; its lower bound at 99 % confidence, 0.553 %, is not above the 1 % allowed, so chance may"
            " explain the difference.",
        ),
        (
            at_most(Proportion(6, 150), 0.01),
            True,
            "That is 4 %; its lower bound at 99 % confidence, 1.2 %, is still above the 1 % allowed.",
        ),
        (at_least(Proportion(135, 150), 0.9), False, "That is 90 %; at least 90 % is required."),
        (
            at_least(Proportion(130, 150), 0.9),
            False,
            "That is 86.7 %; its upper bound at 99 % confidence, 92.4 %, is not below the 90 % required, so chance may"
            " explain the difference.",
        ),
        (
            at_least(Proportion(120, 150), 0.9),
            True,
            "That is 80 %; its upper bound at 99 % confidence, 87 %, is still below the 90 % required.",
        ),
    ],
)
def test_a_sentence_says_what_was_decided_and_why(decision: Decision, failed: bool, why: str) -> None:
    assert decision == (failed, why)


def test_checks_draw_a_bounded_part_by_the_seed_and_do_not_repeat_a_given_attack() -> None:
    attacks: dict[str, Attack] = {"still": FGSM(L2(0.0)), "mine": FGSM(BALL), "yours": PGD(BALL, steps=3)}
    checks = Checks.of(attacks, BALL, 1000, seed=3)
    assert len(checks.indices) == 256
    assert checks.indices.tolist() == sorted(set(checks.indices.tolist()))
    assert torch.equal(checks.indices, Checks.of({}, None, 1000, seed=3).indices)
    assert not torch.equal(checks.indices, Checks.of({}, None, 1000, seed=4).indices)
    jobs = [job.name for job in checks.jobs(trained(), 3)]
    assert "checks/one-step" not in jobs
    assert "checks/iterated" in jobs
    assert jobs[:2] == ["checks/probe", "checks/alone"]
