"""Examples as tensors, by name: sources, image sets, point sets, binarisation (2-D toys: ``epslab.data.toys``)."""

from epslab.data.binarisation import bernoulli_draw, binarise
from epslab.data.examples import Examples
from epslab.data.factors import FactorSet
from epslab.data.imageset import ImageSet
from epslab.data.modes import Modes
from epslab.data.official import FileStatus
from epslab.data.pointset import PointSet
from epslab.data.sources import DRAWN, NAMES, OUTSIDE, Overview, check, fetch, load, load_examples, overview, root
from epslab.types import dequantise, quantise

__all__ = [
    "DRAWN",
    "NAMES",
    "OUTSIDE",
    "Examples",
    "FactorSet",
    "FileStatus",
    "ImageSet",
    "Modes",
    "Overview",
    "PointSet",
    "bernoulli_draw",
    "binarise",
    "check",
    "dequantise",
    "fetch",
    "load",
    "load_examples",
    "overview",
    "quantise",
    "root",
]
