"""What others report for classifiers."""

from epslab.recipes.published import Fact

_COURSE_CLASSIFIER = {
    "recipe": "resnet18", "data": "cifar10", "stem": "cifar-pool", "optimiser": "sgd", "learning_rate": 5e-4,
    "schedule": "step", "batch_size": 64, "augment": "none", "weights": None, "defence": "none",
}  # fmt: skip
_PGD_TRAINED = {
    "recipe": "resnet18", "data": "cifar10", "defence": "adversarial-loss", "clean_weight": 0.0, "attack": "pgd",
    "norm": "linf", "radius": ("8/255", 8 / 255),
}  # fmt: skip

FACTS = (
    Fact("accuracy", "58 %", "public run of the course's settings, from scratch", _COURSE_CLASSIFIER),
    Fact("accuracy", "≈ 84 %", "published PGD training of a ResNet-18 at 8/255", _PGD_TRAINED),
)
"""Every quoted number."""
