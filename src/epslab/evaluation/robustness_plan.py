"""What an evaluation consists of: its settings, its jobs, and the report on them."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from epslab.attacks.attacked import Attack
from epslab.evaluation.findings import Checks, judge
from epslab.evaluation.fingerprints import Fingerprint, describe, fingerprint, of_tensor
from epslab.evaluation.portions import Portion, TestSet
from epslab.evaluation.radius_sweep import RadiusSweep, SweepResult
from epslab.evaluation.radius_sweep import sweep as swept
from epslab.evaluation.robustness_jobs import Job
from epslab.evaluation.robustness_measure import attacking, ball_of, clean
from epslab.evaluation.robustness_report import RobustnessReport
from epslab.evaluation.robustness_result import AttackResult
from epslab.evaluation.robustness_store import VERSION, Store
from epslab.geometry import Ball
from epslab.types import Classifier


@dataclass(frozen=True, eq=False)
class Plan:
    """An evaluation: what is asked of a model, and how the answers become a report.

    Args:
        attacks: By name.
        balls: Of the sweep, the smallest first; none without a sweep.
        sweep: How its attack is made.
        checks: What the findings need; None: there are none.
        seed: Of all noise.
    """

    attacks: Mapping[str, Attack]
    balls: tuple[Ball, ...]
    sweep: RadiusSweep | None
    checks: Checks | None
    seed: int

    @classmethod
    def of(
        cls, attacks: Mapping[str, Attack], n: int, *, sweep: RadiusSweep | None, findings: bool, seed: int
    ) -> "Plan":
        """The plan for n examples."""
        # Within a ball of radius 0 nothing moves: a sweep cannot be scaled from it, nor attacks compared in it.
        own = (ball_of(attack) for attack in attacks.values())
        ball = next((ball for ball in own if ball is not None and float(ball.radius) > 0), None)
        balls = () if sweep is None else sweep.balls(ball)
        return cls(attacks, balls, sweep, Checks.of(attacks, ball, n, seed) if findings else None, seed)

    def settings(self, model: Fingerprint, examples: TestSet) -> tuple[dict[str, object], list[str]]:
        """What makes the evaluation the same, for JSON; and which parts of it have no fingerprint."""
        attacks = {name: fingerprint(attack) for name, attack in self.attacks.items()}
        known = {"model": model} | {f"attack '{name}'": print_ for name, print_ in attacks.items()}
        settings = {
            "fingerprints": VERSION,
            "model": model.words,
            "images": of_tensor(examples.images),
            "labels": of_tensor(examples.labels.long()),
            "attacks": {name: print_.words for name, print_ in attacks.items()},
            "seed": self.seed,
            "sweep": describe((self.balls, self.sweep.attack)) if self.sweep else None,
            "findings": self.checks is not None,
        }
        return settings, [f"the {what} holds a {print_.unknown}" for what, print_ in known.items() if print_.unknown]

    def jobs(self, model: Classifier, n: int) -> list[Job]:
        """The clean images, every attack, the sweep, the checks."""
        everyone = torch.arange(n)
        jobs = [Job("clean", everyone, lambda portion: clean(model, portion))]
        jobs += [attacking(model, attack, name, everyone, self.seed) for name, attack in self.attacks.items()]
        if self.sweep is not None and self.balls:
            make = self.sweep.attack

            def sweeping(portion: Portion) -> dict[str, Tensor]:
                return swept(model, self.balls, make, portion, self.seed)

            jobs.append(Job("sweep", everyone, sweeping))
        return jobs + ([] if self.checks is None else self.checks.jobs(model, self.seed))

    def report(self, store: Store, examples: TestSet, model: str, of: Mapping[str, str]) -> RobustnessReport:
        """The report on finished jobs, of the model in words and the hashes ``of`` what was measured."""
        unharmed = store.read("clean")
        return RobustnessReport(
            examples.labels.detach().cpu().long(),
            unharmed["prediction"],
            unharmed["margin"],
            {name: self._result(store.read(f"attacks/{name}"), unharmed["right"], name) for name in self.attacks},
            self._curve(store),
            () if self.checks is None else judge(self.checks.evidence(store, torch.finfo(examples.dtype).eps)),
            self.seed,
            model,
            bool(unharmed["eight_bit"].all()),
            store,
            of,
        )

    def _result(self, rows: Mapping[str, Tensor], right: Tensor, name: str) -> AttackResult:
        attack = self.attacks[name]
        return AttackResult(
            describe(attack),
            attack.norm,
            float(attack.radius),
            broken=~(rows["right"] & right),
            claimed=rows["claimed"],
            predictions=rows["prediction"],
            distance=rows["distance"],
            queries=rows["queries"],
            gradients=rows["gradients"],
            broken_rounded=~(rows["right_rounded"] & right),
            rounding=rows["rounding"],
        )

    def _curve(self, store: Store) -> SweepResult | None:
        if not self.balls:
            return None
        rows = store.read("sweep")
        radii = tuple(float(ball.radius) for ball in self.balls)
        return SweepResult(str(self.balls[0].norm), radii, rows["broken_at"], rows["queries"], rows["gradients"])
