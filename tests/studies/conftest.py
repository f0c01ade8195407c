from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from epslab import studies
from epslab.report import StudyResult
from epslab.studies import context

TINY = replace(context.QUICK, hidden=(128,), epochs=10, sample_epochs=(0, 3, 10))


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every study trains nets that learn within a second, at full scale for one epoch."""
    monkeypatch.setattr(context, "QUICK", TINY)
    monkeypatch.setattr(context, "COURSE", replace(TINY, epochs=1, sample_epochs=(0, 1)))


@pytest.fixture(scope="session")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a whole tour, small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "QUICK", TINY)
        yield studies.tour(out=tmp_path_factory.mktemp("tour"), accelerator="cpu", progress=False).parent


@pytest.fixture(scope="session")
def results(toured: Path) -> dict[str, StudyResult]:
    return {name: StudyResult.load(toured / name) for name in studies.NAMES}
