"""A labelled set of images: one uint8 tensor, sliced without copying."""

import hashlib
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from epslab import notebook
from epslab.data.examples import Divisible, bytes_of
from epslab.errors import UserError
from epslab.types import Images, ImageShape, Labels

Set = TypeVar("Set", bound="ImageSet")


@dataclass(frozen=True, eq=False)
class ImageSet(Divisible):
    """Images with their labels; two sets are compared by ``checksum()``.

    >>> import torch
    >>> from epslab.data import ImageSet
    >>> pixels = torch.zeros(10, 1, 28, 28, dtype=torch.uint8)
    >>> whole = ImageSet(pixels, torch.arange(10) % 2, ("even", "odd"))
    >>> train, validation = whole.split([8, 2], seed=0)
    >>> len(train), train.image_shape
    (8, (1, 28, 28))

    Args:
        pixels: uint8 [n c h w], 0..255.
        labels: int64 [n], 0..classes−1.
        classes: The classes' names, by label.
        name: Of the data set, as ``load`` was given it; empty where there is none. It is no part of the content.

    Raises:
        UserError: A wrong type or shape, unequal lengths, or a label without a class.
    """

    # Plain annotations: __post_init__ checks the shapes, always, and with a sentence.
    pixels: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str = ""

    def __post_init__(self) -> None:
        """Check that pixels, labels and classes belong together."""
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise UserError(
                f"Pixels are {self.pixels.dtype} {list(self.pixels.shape)}; an image set holds uint8 [n c h w], 0..255:"
                " turn images in [0, 1] into pixels by (images * 255).round().to(torch.uint8)."
            )
        if self.labels.dtype != torch.int64 or self.labels.ndim != 1:
            raise UserError(
                f"Labels are {self.labels.dtype} {list(self.labels.shape)}; an image set holds int64 [n]:"
                " one class index per image, labels.long()."
            )
        if len(self.labels) != len(self.pixels):
            raise UserError(
                f"There are {len(self.pixels)} images and {len(self.labels)} labels; give one label for each image."
            )
        if len(self.labels) and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise UserError(
                f"Labels run from {int(self.labels.min())} to {int(self.labels.max())}, but there are"
                f" {len(self.classes)} classes: labels must lie in 0..{len(self.classes) - 1}."
            )

    def __len__(self) -> int:
        """The number of images."""
        return len(self.pixels)

    def __repr__(self) -> str:
        c, h, w = self.image_shape
        name = f" {self.name}" if self.name else ""
        return f"<ImageSet{name}: {len(self):,} images of {c}×{h}×{w}, {len(self.classes)} classes>"

    def _repr_html_(self) -> str:
        counts = torch.bincount(self.labels.cpu(), minlength=len(self.classes)).tolist()
        rows = [(name, f"{count:,}") for name, count in zip(self.classes, counts, strict=True)]
        strip = notebook.strip_of(self.pixels[:8])
        return notebook.shown(repr(self)[1:-1], rows, ("class", "images"), right=(False, True), strip=strip)

    def __getitem__(self: Set, index: slice | Int[Tensor, " k"] | Bool[Tensor, " n"]) -> Set:
        """A part of the set: a slice shares its memory, a tensor of indices (or a mask) copies."""
        return type(self)(self.pixels[index], self.labels[index], self.classes, self.name)

    @property
    def images(self) -> Images:
        """All images as float32 in [0, 1] (pixel/255), a fresh tensor four times the size of ``pixels``."""
        return self.pixels.to(torch.float32).div_(255)

    @property
    def image_shape(self) -> ImageShape:
        """Channels, height, width."""
        c, h, w = self.pixels.shape[1:]
        return c, h, w

    @property
    def shape(self) -> ImageShape:
        """The shape of one example: ``image_shape``."""
        return self.image_shape

    @property
    def about(self) -> dict[str, object]:
        """The name if there is one, shape and classes, for a run's ``config.yaml``."""
        named = {"dataset": self.name} if self.name else {}
        return {**named, "image_shape": list(self.image_shape), "classes": list(self.classes)}

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same set on a device."""
        return ImageSet(self.pixels.to(device), self.labels.to(device), self.classes, self.name)

    def batch(self, indices: Int[Tensor, " n"]) -> tuple[Images, Labels]:
        """The images at these indices, float32 in [0, 1], channels_last, and their labels."""
        images = self.pixels[indices].to(torch.float32, memory_format=torch.channels_last).div_(255)
        return images, self.labels[indices]

    def checksum(self) -> str:
        """``sha256:…`` of shape, pixels, labels and classes: the same for the same content."""
        digest = hashlib.sha256(repr((tuple(self.pixels.shape), self.classes)).encode())
        digest.update(bytes_of(self.pixels))
        digest.update(bytes_of(self.labels))
        return f"sha256:{digest.hexdigest()}"


def stratified(
    labels: Labels, held_out: int, generator: Generator | None = None
) -> tuple[Int[Tensor, " kept"], Int[Tensor, " held_out"]]:
    """Indices of two disjoint parts with the same share of each class, both in rising order.

    From each class floor(its share) images are held out; the classes with the largest remainders give one more until
    the number is reached.

    Args:
        labels: The classes, [n].
        held_out: How many indices the second part has.
        generator: Which members of a class are held out.
    """
    counts = torch.bincount(labels)
    share = counts.double() * held_out / max(len(labels), 1)
    quota = share.floor().long()
    for label in torch.argsort(share - quota, descending=True, stable=True)[: held_out - int(quota.sum())]:
        quota[label] += 1
    away = torch.zeros(len(labels), dtype=torch.bool)
    for label, quantity in enumerate(quota.tolist()):
        members = torch.nonzero(labels == label).flatten()
        away[members[torch.randperm(len(members), generator=generator)[:quantity]]] = True
    return torch.nonzero(~away).flatten(), torch.nonzero(away).flatten()
