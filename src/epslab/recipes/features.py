"""The features by which a run's samples are compared: those of a classifier of the same data."""

from pathlib import Path

from torch import nn

from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.evaluation.samples import ClassifierFeatures, pixels
from epslab.evaluation.samples.features import Features
from epslab.recipes.classifier.settings import SmallCNNRecipe
from epslab.recipes.running import load, planned, recipe_of, stand_in, train
from epslab.recipes.table import settings_class
from epslab.runs import Run
from epslab.training import Machine

_SMALLEST = 4  # sides the small CNN takes


def features_for(
    run: Run, features: str | None, *, data_root: str | Path | None = None, progress: bool = False
) -> Features:
    """The features of this run's examples.

    Args:
        run: The run whose samples are compared.
        features: Run folder of a classifier; None: a small CNN with default settings, trained once into
            ``features-DATA`` beside the run and then taken from there. Points, images of one class and those of sides
            below 4 are compared as they are.
        data_root: Where data sets lie.
        progress: Show the progress of training.

    Raises:
        UserError: The folder is no run of a classifier of such images.
    """
    example = stand_in(run)
    if features is not None:
        return _of_run(Run.open(Path(features)), run)
    if not isinstance(example, ImageSet) or len(example.classes) < 2 or min(example.shape[1:]) < _SMALLEST:
        return pixels
    data, root = str(run.config["data"]), data_root or run.config.get("data_root")
    return _of_run(_trained(data, root, run.folder.parent / f"features-{Path(data).name}", progress), run)


def _trained(data: str, root: str | Path | None, folder: Path, progress: bool) -> Run:
    """The small CNN in this folder, trained if it is not there or only half."""
    settings, run = SmallCNNRecipe(), Run(folder)
    if not run.exists():
        return train(settings, data=data, data_root=root, out=folder, progress=progress)
    raw, plan = planned(settings, data, root, seed=0)
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
