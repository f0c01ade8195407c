"""Annotated shapes are checked by beartype while the tests run; tests, and what they start, use one thread."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jaxtyping import install_import_hook

install_import_hook("epslab", "beartype.beartype")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest  # noqa: E402
import torch  # noqa: E402

from epslab.runs import lock  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def held() -> Callable[[Path, str], Any]:
    """A context in which another thread writes to a folder: ``held(folder, "training")``."""

    @contextmanager
    def holding(folder: Path, doing: str) -> Iterator[None]:
        entered, over = threading.Event(), threading.Event()

        def hold() -> None:
            with lock(folder, doing):
                entered.set()
                over.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        assert entered.wait(60)
        try:
            yield
        finally:
            over.set()
            thread.join()

    return holding
