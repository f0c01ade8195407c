"""The oracle models the evaluation is tested on."""

import pytest
from linear_oracle import Oracle, linear_vae


@pytest.fixture
def exact() -> Oracle:
    """The oracle with the exact posterior: every bound is log p(x)."""
    return linear_vae()


@pytest.fixture
def inexact() -> Oracle:
    """The oracle with a posterior that is moved and too wide: the ELBO misses log p(x) by a known gap."""
    return linear_vae(shift=0.3, stretch=1.3)
