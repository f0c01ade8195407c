"""The handwritten digits that ship with scikit-learn (Alpaydin & Kaynak, 1998): 1,797 images of 8×8."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from epslab import seeds
from epslab.data.imageset import ImageSet, stratified
from epslab.data.official import DIFFERS, FileStatus
from epslab.types import ImageShape

_CHECKSUM = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
"""SHA-256 of the values as bytes, [1797 8 8]."""


@dataclass(frozen=True)
class Digits:
    """Digits with their 17 grey levels: value v of 0..16 is stored as the pixel ⌈255·v/16⌉.

    So ``quantise(images, 16)`` gives min(v, 15), and the pixels tell all 17 levels apart. The split is fixed:
    stratified, 1,437 for training and 360 for testing.
    """

    name: str = "digits"
    classes: tuple[str, ...] = tuple("0123456789")
    shape: ImageShape = (1, 8, 8)
    lengths: tuple[int, int] = (1437, 360)
    disk: int = 0
    origin: str = "comes with scikit-learn"

    def present(self, root: Path) -> bool:
        """True: scikit-learn brings them."""
        return True

    def check(self, root: Path) -> list[FileStatus]:
        """Compare scikit-learn's copy with the one this split was made for."""
        if _unchanged(_values()[0]):
            return [FileStatus(_path(), "ok", "comes with scikit-learn")]
        return [FileStatus(_path(), "differs", DIFFERS)]

    def load(self, split: str, root: Path) -> tuple[ImageSet, list[Path]]:
        """A split, and scikit-learn's file should it have changed."""
        values, labels = _values()
        pixels = torch.from_numpy((values.astype(np.int64) * 255 + 15) // 16).to(torch.uint8).unsqueeze(1)
        whole = ImageSet(pixels, torch.from_numpy(labels), self.classes)
        parts = stratified(whole.labels, self.lengths[1], seeds.generator(0, "data", "digits"))
        different = [] if _unchanged(values) else [_path()]
        return whole[parts[0] if split == "train" else parts[1]], different

    def fetch(self, root: Path) -> None:
        """Nothing to do: scikit-learn brings them."""


def _values() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Values 0..16, [1797 8 8], and labels."""
    # Here, since importing scikit-learn takes a second that other data sets need not spend.
    from sklearn.datasets import load_digits

    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target.astype(np.int64)


def _unchanged(values: NDArray[np.uint8]) -> bool:
    return hashlib.sha256(values.tobytes()).hexdigest() == _CHECKSUM


def _path() -> Path:
    import sklearn.datasets

    return Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"


DIGITS = Digits()
