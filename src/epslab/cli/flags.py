"""Flags that several verbs share; each dataclass is one group of the help."""

from dataclasses import dataclass
from typing import Literal

from epslab.cli.parsing import Parser
from epslab.training import Machine


@dataclass(frozen=True)
class Data:
    """Data and seed.

    Args:
        data: Data set: {data_sets}; package.module:name; or a folder with one folder of images per class.
        data_root: Folder of all data sets (default: EPSLAB_DATA, or else the platform's cache folder).
        seed: Seed of all randomness; the same seed gives the same numbers.
    """

    data: str = "digits"
    data_root: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class TrainingData(Data):
    """Data and seed.

    Args:
        data: Data set: {data_sets}; points on the plane: ring, grid, two-moons, swiss-roll; package.module:name; or a
            folder with one folder of images per class.
        data_root: Folder of all data sets (default: EPSLAB_DATA, or else the platform's cache folder).
        seed: Seed of all randomness; the same seed gives the same numbers.
    """


@dataclass(frozen=True)
class Images:
    """Images.

    Args:
        split: Test images, or the validation images held out of training.
        limit: Number of images, drawn by the seed (default: all).
        batch_size: Images at a time; this changes speed and memory only.
        data_root: Folder of all data sets (default: the one used in training).
        seed: Seed of all randomness; the same seed gives the same numbers.
    """

    split: Literal["test", "validation"] = "test"
    limit: int | None = None
    batch_size: int = 256
    data_root: str | None = None
    seed: int = 0


def add_model(parser: Parser) -> None:
    """Add the flag of the model of a run that was trained from Python."""
    what = "package.module:name of a function that builds the model (for a run that fit wrote from Python)"
    parser.add_argument("--model", type=str | None, metavar="PATH", help=what)


def add_machine(parser: Parser) -> None:
    """Add the flags of one machine, without those of several and without the precision."""
    parser.add_class_arguments(Machine, skip={"nodes", "strategy", "precision"})
