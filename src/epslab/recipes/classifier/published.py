"""What others report for classifiers, where they say after how many epochs."""

from epslab.recipes.published import Fact

_COURSE_CLASSIFIER = {
    "recipe": "resnet18", "data": "cifar10", "stem": "cifar-pool", "optimiser": "sgd", "learning_rate": 5e-4,
    "schedule": "step", "batch_size": 64, "augment": "none", "weights": None, "defence": "none",
    "momentum": 0.9, "weight_decay": 0.0, "epochs": 30, "half": (None, "all"), "ema_decay": None,
}  # fmt: skip

FACTS = (Fact("accuracy", "58 %", "public run of the course's settings, from scratch, 30 epochs", _COURSE_CLASSIFIER),)
"""Every quoted number."""
