"""The IDX files of MNIST and Fashion-MNIST, plain or gzipped.

The MNIST checksums are those of the files LeCun, Cortes & Burges (1998) published, uncompressed. The Fashion-MNIST ones
are of the uncompressed files behind the gzip files Xiao, Rasul & Vollgraf (2017) published (MD5 8d4fb7e6…, 25c81989…,
bef4ecab…, bb300cfd…).
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from epslab import files
from epslab.data.download import download
from epslab.data.imageset import ImageSet
from epslab.data.official import DIFFERS, FileStatus, OfficialFile, broken, missing, reading, uncompressed
from epslab.errors import UserError
from epslab.types import ImageShape

_CHUNK = 1 << 20
_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files: images and labels, for training and for testing.

    Args:
        name: The name users type, and the folder below the data root.
        classes: The classes' names, by label.
        checksums: Of the uncompressed files: training images and labels, test images and labels.
        mirrors: Addresses to which the names of the gzipped files are appended; tried in this order.
        disk: Bytes of the gzipped files.
        shape: Channels (1), height, width.
        lengths: How many training and test images.
        origin: Empty: its files are fetched.
    """

    name: str
    classes: tuple[str, ...]
    checksums: tuple[str, str, str, str]
    mirrors: tuple[str, ...]
    disk: int
    shape: ImageShape = (1, 28, 28)
    lengths: tuple[int, int] = (60_000, 10_000)
    origin: str = ""

    def present(self, root: Path) -> bool:
        """Whether all four files are there, plain or gzipped."""
        return all(self._find(root, file) for file, _ in self._files())

    def check(self, root: Path) -> list[FileStatus]:
        """The state of each of the four files."""
        return [self._status(root, file, shape) for file, shape in self._files()]

    def load(self, split: str, root: Path) -> tuple[ImageSet, list[Path]]:
        """Images and labels of a split, and those of the two files whose content is not the official one."""
        content, different = [], []
        for file, shape in self._files()[:2] if split == "train" else self._files()[2:]:
            path = self._find(root, file)
            if path is None:
                raise missing(self.name, root / self.name, [f"{name}.gz" for name in _NAMES])
            tensor, official = self._read(path, file, shape)
            content.append(tensor)
            if not official:
                different.append(path)
        images, labels = content
        return ImageSet(images.unsqueeze(1), labels.long(), self.classes), different

    def fetch(self, root: Path) -> None:
        """Download the files that are missing or corrupt; a corrupt one is replaced."""
        folder = root / self.name
        needed = [
            (file, shape)
            for file, shape in self._files()
            if self._status(root, file, shape).state in ("missing", "corrupt")
        ]
        if needed:
            files.require_space(folder, self.disk, f"downloading {self.name}")
        for file, shape in needed:
            target = folder / f"{file.name}.gz"
            download(
                [mirror + target.name for mirror in self.mirrors],
                target,
                functools.partial(self._install, file, shape, target),
                by_hand=f"put {', '.join(f'{name}.gz' for name in _NAMES)} into '{folder}'",
            )

    def _install(self, file: OfficialFile, shape: tuple[int, ...], target: Path, part: Path) -> None:
        """Put a downloaded file into place, if it is the official one."""
        _, official = self._read(part, file, shape)
        if not official:
            raise UserError(f"'{part}': {DIFFERS}.")
        part.replace(target)
        # An uncompressed file next to it would be read first, and it was found corrupt or missing.
        target.with_suffix("").unlink(missing_ok=True)

    def _files(self) -> list[tuple[OfficialFile, tuple[int, ...]]]:
        """The four files with the shapes of their content."""
        _, h, w = self.shape
        train, test = self.lengths
        shapes: tuple[tuple[int, ...], ...] = ((train, h, w), (train,), (test, h, w), (test,))
        named = (OfficialFile(name, checksum) for name, checksum in zip(_NAMES, self.checksums, strict=True))
        return list(zip(named, shapes, strict=True))

    def _find(self, root: Path, file: OfficialFile) -> Path | None:
        candidates = (root / self.name / file.name, root / self.name / f"{file.name}.gz")
        return next((path for path in candidates if path.is_file()), None)

    def _status(self, root: Path, file: OfficialFile, shape: tuple[int, ...]) -> FileStatus:
        path = self._find(root, file)
        if path is None:
            target = root / self.name / f"{file.name}.gz"
            return FileStatus(target, "missing", f"run `epslab data fetch {self.name}`, or put the file there")
        try:
            _, official = self._read(path, file, shape)
        except UserError as error:
            return FileStatus(path, "corrupt", str(error))
        return FileStatus(path, "ok") if official else FileStatus(path, "differs", DIFFERS)

    def _read(self, path: Path, file: OfficialFile, shape: tuple[int, ...]) -> tuple[UInt8[Tensor, "..."], bool]:
        """The content, and whether it is the official one; memory beyond the tensor is one chunk."""
        content = torch.empty(math.prod(shape), dtype=torch.uint8)
        buffer = content.numpy().data
        with reading(path, self.name), uncompressed(path) as stream:
            header = stream.read(4 + 4 * len(shape))
            _check_header(header, shape)
            filled = 0
            # readinto of a gzip stream fills less than asked for; a last read finds what is too much, and the CRC.
            while count := stream.readinto(buffer[filled : filled + _CHUNK]):  # type: ignore[attr-defined]
                filled += count
            if filled < len(buffer):
                raise EOFError
            if stream.read(1):
                raise ValueError(f"is longer than its {len(header) + len(buffer):,} bytes")
        if len(shape) == 1 and content.numel() and int(content.max()) >= len(self.classes):
            raise broken(path, f"has a label {int(content.max())} outside 0..{len(self.classes) - 1}", self.name)
        return content.view(shape), file.matches(header, buffer)


def _check_header(header: bytes, shape: tuple[int, ...]) -> None:
    """Check IDX's magic number (0, 0, 8 for unsigned bytes, the number of dimensions) and the sizes."""
    if len(header) < 4 + 4 * len(shape):
        raise EOFError
    if header[:4] != bytes([0, 0, 8, len(shape)]):
        raise ValueError(f"is no IDX file of {len(shape)}-dimensional bytes (its magic number is 0x{header[:4].hex()})")
    sizes = tuple(int.from_bytes(header[i : i + 4]) for i in range(4, len(header), 4))
    if sizes != shape:
        raise ValueError(f"holds {list(sizes)} bytes where {list(shape)} are expected")


MNIST = IdxSource(
    name="mnist",
    classes=tuple("0123456789"),
    checksums=(
        "md5:6bbc9ace898e44ae57da46a324031adb",
        "md5:a25bea736e30d166cdddb491f175f624",
        "md5:2646ac647ad5339dbf082846283269ea",
        "md5:27ae3e4e09519cfbb04c329615203637",
    ),
    mirrors=(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ),
    disk=11_594_722,
)

FASHION_MNIST = IdxSource(
    name="fashion-mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    checksums=(
        "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "md5:9018921c3c673c538a1fc5bad174d6f9",
        "md5:8181f5470baa50b63fa0f6fddb340f0a",
        "md5:15d484375f8d13e6eb1aabb0c3f46965",
    ),
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    disk=30_878_645,
)
