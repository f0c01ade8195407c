import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from epslab import studies
from epslab.report import StudyResult
from epslab.studies import (
    autoencoders,
    classifiers,
    context,
    diffusion,
    disentanglement,
    estimators,
    fgsm_or_pgd,
    flows,
    gan,
    generative,
    langevin,
    mode_collapse,
    trained,
)

TINY = replace(context.QUICK, hidden=(128,), epochs=10, sample_epochs=(0, 3, 10))
TINY_NETS = {
    "small-cnn": replace(classifiers.QUICK["small-cnn"], epochs=3),
    # Another net that learns faster than a ResNet, under its name.
    "resnet18": replace(classifiers.QUICK["small-cnn"], width=4, epochs=3),
}
TINY_DIFFUSION = {"width": 8, "epochs": 2, "timesteps": 100, "sample_epochs": ()}
TINY_MODELS = {
    "gan": {"epochs": 1, "hidden": (16,)},
    "wgan": {"epochs": 1, "hidden": (16,)},
    "wgan-gp": {"epochs": 1, "hidden": (16,)},
    "adversarial-autoencoder": {"epochs": 1},
    "coupling-flow": {"epochs": 1, "steps": 1, "width": 8},
    "autoencoder": {"epochs": 3, "hidden": (16,)},
    "denoising-autoencoder": {"epochs": 1, "width": 4, "levels": 2, "steps": 1},
    "diffusion": TINY_DIFFUSION,
}
IMAGES = 60


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Let every study train nets that learn within a second, attack few images, and take few steps."""
    patch.setattr(fgsm_or_pgd, "STEPS", (1, 2, 5, 10))
    patch.setattr(estimators, "DIMENSIONS", (1, 5, 20))
    patch.setattr(diffusion, "EVALUATIONS", dict.fromkeys(("quick", "full"), (3, 9)))
    few = {name: {**own, "epochs": 1, "batch_size": 1000} for name, own in mode_collapse.QUICK.items()}
    patch.setattr(mode_collapse, "QUICK", few)
    patch.setattr(mode_collapse, "FULL", few)
    patch.setattr(mode_collapse, "SEEDS", {"quick": 1, "full": 2})
    patch.setattr(mode_collapse, "SAMPLES", 200)
    patch.setattr(flows, "QUICK_EPOCHS", 3)
    patch.setattr(flows, "BANANA", {"normal": (1, 20), "planar": (2, 20), "radial": (2, 20)})
    patch.setattr(context, "QUICK", TINY)
    for recipe, settings in TINY_MODELS.items():
        patch.setitem(generative.QUICK, recipe, settings)
    patch.setattr(gan, "STEPS", (50, 50))
    patch.setattr(gan, "SHOWN", (0, 1, 5, 20))
    patch.setattr(disentanglement, "QUICK", replace(disentanglement.QUICK, hidden=(16,), epochs=1))
    patch.setattr(classifiers, "QUICK", TINY_NETS)
    patch.setattr(autoencoders, "COMPONENTS", {"quick": (2, 20), "full": (2, 20)})
    patch.setattr(autoencoders, "LINEAR_EPOCHS", 3)
    patch.setattr(langevin, "RING", dict.fromkeys(("quick", "full"), replace(langevin.RING["quick"], epochs=1)))
    patch.setattr(classifiers, "FULL", {name: replace(net, epochs=1) for name, net in TINY_NETS.items()})
    patch.setattr(classifiers, "SURROGATES", {"quick": TINY_NETS, "full": classifiers.FULL})
    whole = trained.images_to_attack
    for study in map(studies.STUDIES.__getitem__, studies.NAMES):
        if hasattr(study, "images_to_attack"):
            patch.setattr(study, "images_to_attack", lambda context, most: whole(context, min(most, IMAGES)))
        if hasattr(study, "SURROGATES"):
            patch.setattr(study, "SURROGATES", classifiers.SURROGATES)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every study trains nets that learn within a second, at full scale for one epoch."""
    shrink(monkeypatch)
    monkeypatch.setattr(context, "COURSE", replace(TINY, epochs=1, sample_epochs=(0, 1)))


@pytest.fixture(scope="session")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole tour, small; taken once for all processes that share the tests. Nobody writes there."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tour"
    with folder.with_suffix(".lock").open("w") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "report.html").exists():
            shrink(patch)
            studies.tour(out=folder, accelerator="cpu", progress=False)
    return folder


@pytest.fixture(scope="session")
def results(toured: Path) -> dict[str, StudyResult]:
    return {name: StudyResult.load(toured / name) for name in studies.NAMES}
