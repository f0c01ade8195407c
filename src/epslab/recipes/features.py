"""The features by which a run's samples are compared: those of a classifier of the same data."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console
from torch import nn

from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.evaluation.samples import ClassifierFeatures, coordinates, pixels
from epslab.evaluation.samples.features import Features
from epslab.recipes.classifier.settings import SmallCNNRecipe
from epslab.recipes.running import load, planned, recipe_of, stand_in, train
from epslab.recipes.table import settings_class
from epslab.runs import Run
from epslab.training import Machine

_SMALLEST = 4  # sides the small CNN takes
_ENOUGH = 150_000
"""Images after which its features serve: more would make them little better."""


def features_for(
    run: Run, features: str | None, *, data_root: str | Path | None = None, progress: bool = False
) -> Features:
    """The features of this run's examples.

    Args:
        run: The run whose samples are compared.
        features: Run folder of a classifier; None: a small CNN, trained once into ``features-DATA`` beside the run
            and then taken from there, with default settings, but on large data for fewer epochs: 150,000 images, at
            least 2 epochs. Points, images of one class and those of sides below 4 are compared as they are.
        data_root: Where data sets lie.
        progress: Show the progress of training.

    Raises:
        UserError: The folder is no run of a classifier of such images.
    """
    example = stand_in(run)
    if features is not None:
        return _of_run(Run.open(Path(features)), run)
    if not isinstance(example, ImageSet) or len(example.classes) < 2 or min(example.shape[1:]) < _SMALLEST:
        return pixels if isinstance(example, ImageSet) else coordinates
    data, root = str(run.config["data"]), data_root or run.config.get("data_root")
    return _of_run(_trained(data, root, run.folder.parent / f"features-{Path(data).name}", progress), run)


def _trained(data: str, root: str | Path | None, folder: Path, progress: bool) -> Run:
    """The small CNN in this folder, trained if it is not there or only half."""
    run = Run(folder)
    raw, plan = planned(SmallCNNRecipe(), data, root, seed=0)
    settings = _settings(len(raw.train))
    if progress and run.result().get("status") != "finished":
        Console(stderr=True).print(f"A classifier whose features compare samples is trained once, into '{folder}'.")
    if not run.exists():
        return train(settings, data=data, data_root=root, out=folder, progress=progress)
    then = (run.config["provenance"].get("data") or {}).get("train")
    if then != plan.prepare(raw.train, False).checksum() or recipe_of(run) != settings:
        raise UserError(
            f"'{folder}' holds another classifier than the one that compares samples of '{data}'; delete it, or give a"
            " classifier's run as `features=`."
        )
    if run.result().get("status") == "finished":
        return run
    begun = run.last_checkpoint.exists()
    return train(settings, data=data, data_root=root, out=folder, resume=begun, overwrite=not begun, progress=progress)


def _settings(images: int) -> SmallCNNRecipe:
    """The small CNN's settings for this number of training images."""
    usual = SmallCNNRecipe()
    return replace(usual, epochs=min(usual.epochs, max(2, _ENOUGH // images)))


def _of_run(classifier: Run, run: Run) -> Features:
    """What this run's classifier makes of images.

    Raises:
        UserError: It is no classifier, or one of other images.
    """
    if "recipe" not in classifier.config or not settings_class(classifier).classifies:
        raise UserError(
            f"`features=` is '{classifier.folder}', which is no run of a classifier; give one that `epslab train"
            " small-cnn` or `epslab train resnet18` wrote."
        )
    shapes = stand_in(classifier).shape, stand_in(run).shape
    if shapes[0] != shapes[1]:
        raise UserError(
            f"`features=` is '{classifier.folder}', a classifier of images of shape {shapes[0]}, but those of"
            f" '{run.folder}' have {shapes[1]}; give a classifier of the same data."
        )
    model: nn.Module = load(classifier)
    digest = (classifier.weights_hash() or "").removeprefix("sha256:")[:6]
    return ClassifierFeatures(model.to(Machine().device), f"{classifier.config['recipe']} {digest}")
