"""Images as tensors, by name: sources, image sets, binarisation, downloads (2-D toys are in ``epslab.data.toys``)."""

from epslab.data.binarisation import bernoulli_draw, binarise
from epslab.data.imageset import ImageSet
from epslab.data.location import root
from epslab.data.official import FileStatus
from epslab.data.sources import NAMES, Overview, check, fetch, load, overview
from epslab.types import dequantise, quantise

__all__ = [
    "NAMES",
    "FileStatus",
    "ImageSet",
    "Overview",
    "bernoulli_draw",
    "binarise",
    "check",
    "dequantise",
    "fetch",
    "load",
    "overview",
    "quantise",
    "root",
]
