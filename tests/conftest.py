"""Every annotated shape in epslab is checked by beartype while the tests run; tests use one thread."""

from jaxtyping import install_import_hook

install_import_hook("epslab", "beartype.beartype")

import torch  # noqa: E402

torch.set_num_threads(1)
