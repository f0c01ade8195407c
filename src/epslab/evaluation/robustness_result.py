"""What an evaluation measured: each attack's outcome, and the accuracies that follow."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from epslab.classifiers import Interval, Proportion
from epslab.errors import unknown
from epslab.evaluation.findings import Finding
from epslab.evaluation.radius_sweep import SweepResult
from epslab.evaluation.robustness_store import Store
from epslab.types import Labels


@dataclass(frozen=True, eq=False)
class AttackResult:
    """One attack on all n examples, as the evaluation measured it.

    Args:
        settings: The attack in words.
        norm: In which distances are: "linf", "l2" or "l1".
        radius: How far the attack may go; infinite where it has no ball.
        broken: The model is wrong on the returned image, or without an attack already, [n].
        claimed: The success that the attack reports, [n].
        predictions: The class given to the returned image, [n].
        distance: From the image, [n] float64.
        queries: Forward evaluations spent, [n].
        gradients: Gradients spent, [n].
        broken_rounded: As ``broken``, of images in 8 bits, [n]: the returned ones rounded, or others in
            the ball where those no longer fool the model.
        rounding: Gradients spent on finding those others, [n]; not counted among the attack's.
    """

    settings: str
    norm: str
    radius: float
    broken: Bool[Tensor, " n"]
    claimed: Bool[Tensor, " n"]
    predictions: Labels
    distance: Float[Tensor, " n"]
    queries: Int[Tensor, " n"]
    gradients: Int[Tensor, " n"]
    broken_rounded: Bool[Tensor, " n"]
    rounding: Int[Tensor, " n"]

    def __repr__(self) -> str:
        return f"<AttackResult {self.settings}: {Proportion.of(~self.broken)} of {len(self.broken):,} examples right>"


@dataclass(frozen=True)
class Example:
    """An example by how robust it is."""

    index: int
    label: int
    prediction: int  #: without an attack
    radius: float  #: the smallest radius of the sweep that breaks it; infinite: none does
    margin: float  #: the label's logit over the largest other, without an attack


@dataclass(frozen=True, eq=False)
class RobustnessResult:
    """Accuracies with the evidence that the attacks worked; tensors are on the CPU, in the order of the examples.

    Args:
        labels: The true classes, [n].
        predictions: Without an attack, [n].
        margins: z_y − max_{j≠y} z_j without an attack, [n] float64: positive where the model is right.
        attacks: What each attack did, by name.
        sweep: Accuracy against the radius; None if there was no sweep.
        findings: The checks and their verdicts; none if they were not asked for.
        seed: Of the evaluation.
        model: Class and digest of the model.
        eight_bit: Whether the images have 8 bits, so that rounding means something.
        store: Where the adversarial images are.
        of: Hashes of what was measured: ``weights`` of the model (none if it is a function), ``data``.
    """

    labels: Labels
    predictions: Labels
    margins: Float[Tensor, " n"]
    attacks: Mapping[str, AttackResult]
    sweep: SweepResult | None
    findings: tuple[Finding, ...]
    seed: int
    model: str
    eight_bit: bool
    store: Store
    of: Mapping[str, str] = field(default_factory=dict)

    @property
    def right(self) -> Bool[Tensor, " n"]:
        """Which examples the model gets right without an attack."""
        return self.predictions == self.labels

    @cached_property
    def clean_accuracy(self) -> Proportion:
        """The part of the examples that the model gets right without an attack."""
        return Proportion.of(self.right)

    @cached_property
    def robust_accuracy(self) -> dict[str, Proportion]:
        """By attack: the part of the examples that the model gets right, without it and on the image it returned."""
        return {name: Proportion.of(~result.broken) for name, result in self.attacks.items()}

    @cached_property
    def worst_case(self) -> Proportion:
        """The part of the examples that no attack broke; see ``joint``."""
        return Proportion.of(~self.broken)

    @cached_property
    def joint(self) -> tuple[AttackResult, ...]:
        """The attacks that make the worst case: those in a ball, or all of them where none has one.

        At any distance nearly every image falls: an attack without a ball would say nothing of the model in the ball.
        """
        every = tuple(self.attacks.values())
        return tuple(result for result in every if result.radius < float("inf")) or every

    @cached_property
    def broken(self) -> Bool[Tensor, " n"]:
        """Which examples an attack of ``joint`` broke, or are wrong without one."""
        return torch.stack([result.broken for result in self.joint]).any(0)

    @cached_property
    def broken_rounded(self) -> Bool[Tensor, " n"]:
        """As ``broken``, of images in 8 bits."""
        return torch.stack([result.broken_rounded for result in self.joint]).any(0)

    @cached_property
    def survival(self) -> Proportion | None:
        """Of the examples that attacks broke, the part that images of 8 bits in the ball break, too.

        None where nothing was broken, or the images given are not of 8 bits.
        """
        broken = self.broken & self.right
        return Proportion.of(self.broken_rounded[broken]) if self.eight_bit and broken.any() else None

    def interval(self, name: str, confidence: float = 0.95) -> Interval:
        """The Clopper–Pearson interval of an accuracy: an attack's by its name, or "clean", or "worst-case".

        Raises:
            UserError: There is no attack of that name.
        """
        known = {"clean": self.clean_accuracy, **self.robust_accuracy, "worst-case": self.worst_case}
        if name not in known:
            raise unknown("attack", name, known)
        return known[name].interval(confidence)
