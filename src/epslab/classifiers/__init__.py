"""Classifiers of images in [0, 1]: normalisation inside the model, what is minimised, and what is measured."""

from epslab.classifiers.accuracy import accuracy, predict
from epslab.classifiers.augmentation import Augmentation
from epslab.classifiers.calibration import Calibration, calibration_error
from epslab.classifiers.normalised import Normalised
from epslab.classifiers.objective import ClassifierObjective, CrossEntropy
from epslab.classifiers.proportion import Interval, Proportion

__all__ = [
    "Augmentation",
    "Calibration",
    "ClassifierObjective",
    "CrossEntropy",
    "Interval",
    "Normalised",
    "Proportion",
    "accuracy",
    "calibration_error",
    "predict",
]
