"""What the checks look at: some of the examples, the given attacks' results on them, and those of reference attacks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from epslab import seeds
from epslab.attacks import FGSM, PGD, RandomNoise, WorstCase
from epslab.attacks.attacked import Attack
from epslab.attacks.objectives import margin
from epslab.evaluation.findings import probes
from epslab.evaluation.fingerprints import describe
from epslab.evaluation.portions import Portion
from epslab.evaluation.robustness_jobs import Job
from epslab.evaluation.robustness_measure import attacking, ball_of
from epslab.evaluation.robustness_store import Store
from epslab.geometry import Ball, Linf
from epslab.types import Classifier

EXAMPLES = 256
"""The checks look at this many examples at most, drawn by the seed."""
TOGETHER = 32
"""This many of them are also given to the model alone."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """An attack on the examples of the checks.

    Args:
        attack: The attack.
        broken: Which examples the model gets wrong on its images.
        survives: Which of those still fool the model in 8 bits.
        white_box: Whether it took gradients of the model.
        moved: Whether it changed any of the images.
    """

    attack: Attack
    broken: Bool[Tensor, " m"]
    survives: Bool[Tensor, " m"]
    white_box: bool
    moved: bool


def any_of(outcomes: Iterable[Outcome]) -> Outcome:
    """What at least one of these attacks breaks."""
    whole = list(outcomes)
    return replace(
        whole[0],
        broken=torch.stack([outcome.broken for outcome in whole]).any(0),
        survives=torch.stack([outcome.survives for outcome in whole]).any(0),
    )


@dataclass(frozen=True, eq=False)
class Evidence:
    """What all checks share; everything of attacks is about the examples the model gets right without one.

    Args:
        right: How many those are.
        ball: That of the first attack which has one, of positive radius.
        given: The evaluation's attacks, by name.
        reference: The checks' own attacks, by name, see ``reference_attacks``; none without a ball.
        probes: ``findings.probes.probe`` on all the checks' examples.
        alone: ``findings.probes.alone`` on the first of them; None for a single example.
        eight_bit: Whether all those images are of 8 bits.
        epsilon: Of the model's dtype: how finely it computes.
    """

    right: int
    ball: Ball | None
    given: Mapping[str, Outcome]
    reference: Mapping[str, Outcome]
    probes: Mapping[str, Tensor]
    alone: Mapping[str, Tensor] | None
    eight_bit: bool
    epsilon: float

    def comparable(self) -> dict[str, Outcome]:
        """The given attacks in the checks' ball."""
        return {name: outcome for name, outcome in self.given.items() if ball_of(outcome.attack) == self.ball}


def reference_attacks(ball: Ball) -> dict[str, Attack]:
    """What the checks compare, around the ball of the evaluation.

    ``unbounded`` is PGD from the image itself with Linf radius 1, which holds every image of the box: a start at random
    there would be noise, and fool a model whose gradients lead nowhere.
    """
    return {
        "one-step": FGSM(ball),
        "iterated": PGD(ball),
        "noise": RandomNoise(ball),
        "search": RandomNoise(ball, draws=100),
        "half": PGD(ball.scaled(0.5)),
        "double": PGD(ball.scaled(2.0)),
        "unbounded": PGD(Linf(1.0), random_start=False),
        "thorough": WorstCase((PGD(ball, steps=100, restarts=3), PGD(ball, steps=100, objective=margin))),
    }


@dataclass(frozen=True, eq=False)
class Checks:
    """The jobs that gather the evidence; what a given attack answers already is not run again.

    Args:
        attacks: The evaluation's attacks.
        ball: That of the first which has one, of positive radius.
        indices: The examples, ascending.
    """

    attacks: Mapping[str, Attack]
    ball: Ball | None
    indices: Int[Tensor, " m"]

    @classmethod
    def of(cls, attacks: Mapping[str, Attack], ball: Ball | None, n: int, seed: int) -> "Checks":
        """On at most ``EXAMPLES`` of n examples, drawn by the seed."""
        order = torch.randperm(n, generator=seeds.generator(seed, "robustness", "findings"))
        return cls(attacks, ball, order[:EXAMPLES].sort().values)

    def jobs(self, model: Classifier, seed: int) -> list[Job]:
        """Probes first, then the reference attacks that are none of the evaluation's own."""

        def alone(portion: Portion) -> dict[str, Tensor]:
            return probes.alone(model, portion)

        several = [Job("checks/alone", self.indices[:TOGETHER], alone, whole=True, counts=False)]
        return [
            Job("checks/probe", self.indices, lambda portion: probes.probe(model, portion), counts=False),
            *(several if len(self.indices) > 1 else []),
            *(
                attacking(model, attack, name, self.indices, seed, check=True)
                for name, (attack, job) in self._reference().items()
                if job.startswith("checks/")
            ),
        ]

    def evidence(self, store: Store, epsilon: float) -> Evidence:
        """What the finished jobs found."""
        clean = store.read("clean")
        right = clean["right"][self.indices]

        def outcome(attack: Attack, job: str) -> Outcome:
            rows = store.read(job)
            if not job.startswith("checks/"):
                rows = {key: value[self.indices] for key, value in rows.items()}
            broken, survives = (~rows[key][right] for key in ("right", "right_rounded"))
            white_box, moved = bool(rows["gradients"].any()), bool((rows["distance"][right] > 0).any())
            return Outcome(attack, broken, broken & survives, white_box, moved)

        return Evidence(
            int(right.sum()),
            self.ball,
            {name: outcome(attack, f"attacks/{name}") for name, attack in self.attacks.items()},
            {name: outcome(*reference) for name, reference in self._reference().items()},
            store.read("checks/probe"),
            store.read("checks/alone") if len(self.indices) > 1 else None,
            bool(clean["eight_bit"][self.indices].all()),
            epsilon,
        )

    def _reference(self) -> dict[str, tuple[Attack, str]]:
        """Each reference attack and the job that holds its results: a given attack's own, if it is the same."""
        if self.ball is None:
            return {}
        given = {describe(attack): (attack, f"attacks/{name}") for name, attack in self.attacks.items()}
        return {
            name: given.get(describe(attack), (attack, f"checks/{name}"))
            for name, attack in reference_attacks(self.ball).items()
        }
