import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest

from epslab import studies
from epslab.report import StudyResult
from epslab.studies import classifiers, context, trained

TINY = replace(context.QUICK, hidden=(128,), epochs=10, sample_epochs=(0, 3, 10))
TINY_NETS = {
    "small-cnn": replace(classifiers.QUICK["small-cnn"], epochs=4),
    "resnet18": replace(classifiers.QUICK["resnet18"], epochs=1),
}
IMAGES = 90


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Let every study train nets that learn within a second, and attack few images."""
    patch.setattr(context, "QUICK", TINY)
    patch.setattr(classifiers, "QUICK", TINY_NETS)
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs the tour waits for all of it."""
    for item in items:
        if "toured" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(1200))


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
