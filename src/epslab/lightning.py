"""The parts of Lightning that epslab uses, imported so that a broken torchvision cannot stop it.

Lightning imports torchmetrics, which imports torchvision if it is installed. A torchvision that was built for another
torch fails there ("operator torchvision::nms does not exist"). epslab uses nothing of torchvision, so Lightning is
imported as if a torchvision that fails were not installed. Afterwards everybody sees it again, with its own error.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from importlib.util import find_spec


@contextmanager
def without_broken(package: str) -> Iterator[None]:
    """Imports inside take a package that is installed, but cannot be imported, for one that is not installed.

    Args:
        package: Its name, which its distribution has too.
    """
    if _works(package):
        yield
        return
    described = vars(metadata.Distribution)["from_name"]

    def from_name(name: str) -> metadata.Distribution:
        if name.lower() == package:
            raise metadata.PackageNotFoundError(name)
        return described.__get__(None, metadata.Distribution)(name)  # type: ignore[no-any-return]

    metadata.Distribution.from_name = staticmethod(from_name)  # type: ignore[method-assign]
    half_imported = {name: sys.modules.pop(name) for name in [*sys.modules] if name.startswith(f"{package}.")}
    sys.modules[package] = None  # type: ignore[assignment] # what Python takes for "not found"
    try:
        yield
    finally:
        metadata.Distribution.from_name = described  # type: ignore[method-assign]
        del sys.modules[package]
        sys.modules.update(half_imported)


def _works(package: str) -> bool:
    """Whether a package can be imported, or is not there at all."""
    try:
        if find_spec(package) is not None:
            importlib.import_module(package)
    except Exception:  # whatever a build for another torch raises
        return False
    return True


with without_broken("torchvision"):
    from lightning.fabric import Fabric
    from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver as ChildProcessObserver
    from lightning.fabric.strategies.strategy import Strategy
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.fabric.utilities.warnings import PossibleUserWarning
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import ProgressBar
    from lightning.pytorch.plugins.io import CheckpointIO
    from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy, StrategyRegistry
    from lightning.pytorch.utilities.types import OptimizerLRScheduler

__all__ = [
    "Callback",
    "CheckpointIO",
    "ChildProcessObserver",
    "FSDPStrategy",
    "Fabric",
    "LightningModule",
    "MisconfigurationException",
    "ModelParallelStrategy",
    "OptimizerLRScheduler",
    "PossibleUserWarning",
    "ProgressBar",
    "Strategy",
    "StrategyRegistry",
    "Trainer",
    "without_broken",
]
