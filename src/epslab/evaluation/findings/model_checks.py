"""Checks of the model itself: gradients that exist, answers that repeat and stand alone, outputs that are logits."""

import math

from epslab.classifiers import Proportion
from epslab.evaluation.findings.evidence import Evidence
from epslab.evaluation.findings.finding import Answer
from epslab.evaluation.findings.statistics import MARGIN, at_most
from epslab.runs import number

ROUNDING = 0.01
"""Of the largest logit: what another batch size may change by the order of the sums (TF32: some 0.001)."""
_UNIT = 1e-3
_CUT = (
    "The model's output has no gradient (it computes in numpy, or detaches), so that attacks along gradients do not"
    " move: attack it with RandomNoise(draws=100), or with Transfer from a model that has gradients."
)


def gradients_exist(evidence: Evidence) -> Answer:
    """Few examples have a cross-entropy gradient that is zero everywhere or not finite somewhere: up to ``MARGIN``."""
    masks = evidence.probes["zero"], evidence.probes["not_finite"]
    zero, broken = (int(mask.sum()) for mask in masks)
    useless = Proportion.of(masks[0] | masks[1])
    failed, why = at_most(useless, MARGIN)
    cut = bool(evidence.probes["cut"].any())
    return Answer(
        failed,
        f"The gradient of the cross-entropy is exactly zero for {zero} and not finite for {broken} of {useless.n}"
        f" examples. {why}" + (f" {_CUT}" if cut else ""),
        {"zero": zero, "not finite": broken, "n": useless.n},
    )


def repeats_itself(evidence: Evidence) -> Answer:
    """The same batch gets the same logits twice, up to the square root of the machine's epsilon, and the same classes.

    A model that draws from seeds (``epslab.nets.random``) is asked with the same seeds both times: it passes if its
    noise comes from these alone, so that its answers can be repeated.
    """
    change, flipped = float(evidence.probes["repeat"].max()), int(evidence.probes["flipped"].sum())
    n, limit = len(evidence.probes["flipped"]), math.sqrt(evidence.epsilon)
    return Answer(
        change > limit or flipped > 0,
        f"Asked twice, logits differ by up to {number(change)} of the largest logit (up to {number(limit)} is"
        f" allowed), and {flipped} of {n} predictions change (none may)."
        + (" Let it draw from the seeds it is given, or attack the average over its noise." if change > limit else ""),
        {"change": change, "flipped": flipped, "n": n},
    )


def stands_alone(evidence: Evidence) -> Answer:
    """An example alone gets the logits it gets in a batch, up to ``ROUNDING``."""
    if evidence.alone is None:
        return Answer(None, "There is only one example.")
    change, flipped = float(evidence.alone["repeat"].max()), int(evidence.alone["flipped"].sum())
    n = len(evidence.alone["flipped"])
    return Answer(
        change > ROUNDING,
        f"Alone and in a batch of {n}, logits differ by up to {number(change)} of the largest logit (up to"
        f" {number(ROUNDING)} is allowed), and {flipped} predictions change.",
        {"change": change, "flipped": flipped, "n": n},
    )


def gives_logits(evidence: Evidence) -> Answer:
    """Outputs are not probabilities: a softmax taken twice flattens the gradient. Log-probabilities are logits, too."""
    probes = evidence.probes
    lowest, highest = float(probes["lowest"].min()), float(probes["highest"].max())
    probabilities = bool(((probes["total"] - 1).abs() < _UNIT).all()) and lowest >= 0
    kind = (
        "every row sums to 1 and none is negative: these are probabilities; return what goes into the softmax"
        if probabilities
        else "they are log-probabilities, which serve as logits"
        if (probes["normaliser"].abs() < _UNIT).all()
        else "their rows do not sum to 1"
    )
    return Answer(
        probabilities,
        f"Outputs run from {number(lowest)} to {number(highest)}; {kind}.",
        {"lowest": lowest, "highest": highest},
    )
