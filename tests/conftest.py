"""Annotated shapes are checked by beartype while the tests run; tests, and what they start, use one thread."""

import os

from jaxtyping import install_import_hook

install_import_hook("epslab", "beartype.beartype")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # noqa: E402

torch.set_num_threads(1)
