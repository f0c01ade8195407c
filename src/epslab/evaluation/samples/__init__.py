"""How good samples are beside held-out data: distances, precision and recall, yardsticks, copies of training data."""

from epslab.evaluation.samples.evaluate import evaluate_samples
from epslab.evaluation.samples.features import ClassifierFeatures, coordinates, pixels
from epslab.evaluation.samples.report import SampleEntry, SampleReport
from epslab.evaluation.samples.search import Nearest, nearest
from epslab.evaluation.samples.yardsticks import gaussian_per_class, with_noise

__all__ = [
    "ClassifierFeatures",
    "Nearest",
    "SampleEntry",
    "SampleReport",
    "coordinates",
    "evaluate_samples",
    "gaussian_per_class",
    "nearest",
    "pixels",
    "with_noise",
]
