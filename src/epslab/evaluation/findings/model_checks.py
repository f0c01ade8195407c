"""Checks of the model itself: gradients that exist, answers that repeat and stand alone, outputs that are logits."""

import math

from epslab.classifiers import Proportion
from epslab.evaluation.findings.evidence import Evidence
from epslab.evaluation.findings.finding import Finding
from epslab.evaluation.findings.statistics import MARGIN, at_most

ROUNDING = 0.01
"""Of the largest logit: what another batch size may change by the order of the sums (TF32: some 0.001)."""
_UNIT = 1e-3


def gradients_exist(evidence: Evidence) -> Finding:
    """Few examples have a cross-entropy gradient that is zero everywhere or not finite somewhere: up to ``MARGIN``."""
    zero, broken = evidence.probes["zero"], evidence.probes["not_finite"]
    useless = Proportion.of(zero | broken)
    decision = at_most(useless, MARGIN)
    return Finding(
        "gradients are not zero or NaN",
        "fail" if decision.failed else "pass",
        f"The gradient of the cross-entropy is exactly zero for {int(zero.sum())} and not finite for"
        f" {int(broken.sum())} of {useless.n} examples. {decision.why}",
        {"zero": int(zero.sum()), "not finite": int(broken.sum()), "n": useless.n},
    )


def repeats_itself(evidence: Evidence) -> Finding:
    """The same batch gets the same logits twice, up to the square root of the machine's epsilon, and the same classes.

    A model that draws from seeds (``epslab.nets.random``) is asked with the same seeds both times: it passes if its
    noise comes from these alone, so that its answers can be repeated.
    """
    change, flipped = float(evidence.probes["repeat"].max()), int(evidence.probes["flipped"].sum())
    limit = math.sqrt(evidence.epsilon)
    return Finding(
        "the model answers deterministically",
        "fail" if change > limit or flipped else "pass",
        f"Asked twice, logits differ by up to {change:.2g} of the largest logit (up to {limit:.1g} is allowed), and"
        f" {flipped} of {len(evidence.probes['flipped'])} predictions change (none may)."
        + (" Let it draw from the seeds it is given, or attack the average over its noise." if change > limit else ""),
        {"change": change, "flipped": flipped, "n": len(evidence.probes["flipped"])},
    )


def stands_alone(evidence: Evidence) -> Finding:
    """An example alone gets the logits it gets in a batch, up to ``ROUNDING``."""
    name = "answers do not depend on batch mates"
    if evidence.alone is None:
        return Finding(name, "not checked", "There is only one example.")
    change, flipped = float(evidence.alone["repeat"].max()), int(evidence.alone["flipped"].sum())
    n = len(evidence.alone["flipped"])
    return Finding(
        name,
        "fail" if change > ROUNDING else "pass",
        f"Alone and in a batch of {n}, logits differ by up to {change:.2g} of the largest logit (up to {ROUNDING:.2g}"
        f" is allowed), and {flipped} predictions change.",
        {"change": change, "flipped": flipped, "n": n},
    )


def gives_logits(evidence: Evidence) -> Finding:
    """Outputs are not probabilities: a softmax taken twice flattens the gradient. Log-probabilities are logits, too."""
    probes = evidence.probes
    lowest, highest = float(probes["lowest"].min()), float(probes["highest"].max())
    probabilities = bool(((probes["total"] - 1).abs() < _UNIT).all()) and lowest >= 0 and highest <= 1 + _UNIT
    normalised = bool((probes["normaliser"].abs() < _UNIT).all())
    kind = (
        "every row sums to 1 and none is negative: these are probabilities; return what goes into the softmax"
        if probabilities
        else "they are log-probabilities, which serve as logits"
        if normalised
        else "their rows do not sum to 1"
    )
    return Finding(
        "outputs are logits, not probabilities",
        "fail" if probabilities else "pass",
        f"Outputs run from {lowest:.4g} to {highest:.4g}; {kind}.",
        {"lowest": lowest, "highest": highest},
    )
