"""What attacks did to the answers of one classifier: enough to count, compare and tell, without the images."""

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from epslab.attacks import Attack
from epslab.classifiers import Proportion
from epslab.data import ImageSet
from epslab.evaluation import RobustnessReport, evaluate_robustness
from epslab.evaluation.fingerprints import fingerprint
from epslab.evaluation.paired import Difference, difference
from epslab.studies.context import Context
from epslab.types import Classifier


@dataclass(frozen=True, eq=False)
class Outcomes:
    """A classifier on n test images, with and without attacks.

    Args:
        right: Which images it gets right without an attack, [n].
        broken: By attack: which it gets wrong under the attack, or without it already, [n].
        gradients: By attack: gradients spent per image, averaged.
    """

    right: Bool[Tensor, " n"]
    broken: Mapping[str, Bool[Tensor, " n"]]
    gradients: Mapping[str, float]

    @classmethod
    def of(cls, report: RobustnessReport) -> "Outcomes":
        """Those of an evaluation."""
        return cls(
            report.right,
            {name: attack.broken for name, attack in report.attacks.items()},
            {name: attack.gradients.double().mean().item() for name, attack in report.attacks.items()},
        )

    @property
    def images(self) -> int:
        """How many images."""
        return len(self.right)

    @property
    def clean(self) -> Proportion:
        """Accuracy without an attack."""
        return Proportion.of(self.right)

    def accuracy(self, attack: str) -> Proportion:
        """Accuracy under the attack."""
        return Proportion.of(~self.broken[attack])

    def more(self, attack: str, other: str) -> Difference:
        """How many more of the images the first attack breaks than the second."""
        return difference(self.broken[attack], self.broken[other])


def measured(
    model: Classifier,
    images: ImageSet,
    attacks: Mapping[str, Attack],
    context: Context,
    *,
    findings: bool = False,
    resume: bool = True,
) -> RobustnessReport:
    """The evaluation of these attacks on a classifier.

    At full scale, where it takes hours, a killed one goes on where it was. Without ``resume`` it starts again, as it
    must where the classifier draws noise from torch's own generator.
    """
    made_of = fingerprint((model, dict(attacks)))
    lasting = resume and context.scale == "full" and made_of.unknown is None
    return evaluate_robustness(
        model,
        images.images,
        images.labels,
        attacks,
        seed=context.seed,
        out=context.attacked(made_of.words, images.checksum()) if lasting else None,
        resume=lasting,
        sweep=None,
        findings=findings,
        progress=context.progress and context.scale == "full",
    )


def outcomes(model: Classifier, images: ImageSet, attacks: Mapping[str, Attack], context: Context) -> Outcomes:
    """What these attacks do to a classifier."""
    return Outcomes.of(measured(model, images, attacks, context))
