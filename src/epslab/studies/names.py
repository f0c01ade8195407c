"""The studies by name, and what they ask; read without torch."""

import ast
from importlib.util import find_spec
from pathlib import Path

from epslab.names import Names

NAMES = (
    *("vae", "manifold", "beta", "estimators", "reparameterisation", "divergences"),
    *("autoencoders", "langevin"),
    *("gan", "mode-collapse", "latent-matching", "flows", "diffusion", "disentanglement", "compare"),
    *("fgsm", "fgsm-or-pgd", "defence", "transfer", "findings"),
)
"""The studies of the tour, in reading order."""
STUDIES = Names("epslab.studies", {name: f"epslab.studies:{name.replace('-', '_')}" for name in NAMES}, kind="study")
"""Every study by name."""


def question(name: str) -> str:
    """What a study asks. That of a built-in study is read from its source, without running it.

    Raises:
        UserError: An unknown study.
    """
    path = STUDIES.path(name)
    if name not in NAMES:
        return str(STUDIES[name].QUESTION)
    spec = find_spec(path.replace(":", "."))
    source = Path(spec.origin).read_text(encoding="utf-8") if spec is not None and spec.origin else ""
    for statement in ast.parse(source).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="QUESTION")], value=ast.Constant(value=str(text))):
                return text
    raise LookupError(f"{path} has no QUESTION")
