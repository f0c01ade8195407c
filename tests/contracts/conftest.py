import pytest

from .attacks import CASES, Case


@pytest.fixture(params=CASES, ids=[case.name for case in CASES])
def case(request: pytest.FixtureRequest) -> Case:
    """Every attack in turn."""
    chosen: Case = request.param
    return chosen
