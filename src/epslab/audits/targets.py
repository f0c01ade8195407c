"""Attacking a classifier, from a run folder or an import path to numbers, pictures and tables in a folder."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from epslab import data as datasets
from epslab.audits.user_model import load_model, require_classifier
from epslab.data import ImageSet
from epslab.errors import UserError, unknown
from epslab.hashes import file_hash
from epslab.recipes import load, recipe_of, settings_class, splits
from epslab.recipes.given import Given, examples_for
from epslab.recipes.measuring import require_held_out, shaping
from epslab.runs import Run
from epslab.runs.plain import plain
from epslab.runs.provenance import from_here
from epslab.types import Classifier


@dataclass(frozen=True, eq=False)
class Target:
    """A classifier and the images it is attacked on.

    Args:
        name: What it was given as: a run folder or an import path.
        model: Images in [0, 1] to logits, in eval mode.
        images: With their labels and classes.
        data: The name of the data set they are of.
        split: "test" or "validation".
        run: The run it was trained in; None for the user's own model.
        bound: Hashes of the files that its weights came from (``epslab.runs.Run.bound``).
    """

    name: str
    model: Classifier
    images: ImageSet
    data: str
    split: str
    run: Run | None = None
    bound: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """What was attacked, for a page and for ``jq``."""
        return {"model": from_here(self.name), "data": self.data, "split": self.split, "images": len(self.images)}

    @property
    def of(self) -> dict[str, Any]:
        """Weights and data by their hashes, and a run's settings that shape its model (``epslab.runs.Run.bound``)."""
        of = {"data": self.images.checksum(), **self.bound}
        if self.run is None or "recipe" not in self.run.config:
            return of
        return {**of, "settings": plain(shaping(recipe_of(self.run)))}


def find_target(
    name: str,
    *,
    data: str | None = None,
    data_root: str | Path | None = None,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    state: str | Path | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    model: Given | None = None,
    device: torch.device | str = "cpu",
) -> Target:
    """The classifier of a run folder or at an import path, with the images it is to be attacked on.

    Args:
        name: A run folder, or ``package.module:name`` (``epslab.audits.user_model.load_model``).
        data: A data set's name or a folder of images by class; None: the run's own.
        data_root: Where data sets lie.
        split: "test", or "validation": what the run held out of the training images.
        limit: Take this many images, drawn by the seed; all if None.
        seed: Of that draw.
        state: A file of weights for the model at an import path.
        mean: Its normalisation; a run's model has its own inside.
        std: Its normalisation.
        model: The model of a run that ``fit`` wrote (``epslab.recipes.given``).
        device: Where the model is put.

    Raises:
        UserError: There is no such model or data, the two do not belong together, or the model is no classifier.
    """
    if split not in ("test", "validation"):
        raise unknown("split", split, ("test", "validation"))
    if limit is not None and limit < 1:
        raise UserError(f"`limit=` counts images and must be 1 or more, not {limit}.")
    if Path(name).is_dir():
        found = _of_a_run(Run.open(name), data, data_root, split, (state, mean, std), model)
    elif model is not None:
        raise UserError(f"'{name}' is no run folder; `model=` builds the model of a run that fit wrote.")
    elif ":" in name:
        found = _of_an_import_path(name, data, data_root, split, state, mean, std)
    else:
        raise UserError(
            f"'{name}' is neither a run folder nor an import path; give a folder that `epslab train` wrote, or"
            " package.module:name."
        )
    images = found.images
    if limit is not None and limit < len(images):
        images = images.take(limit, seed)
    placed = found.model.to(device) if isinstance(found.model, torch.nn.Module) else found.model
    return dataclasses.replace(found, model=placed, images=images)


def folder_name(
    attacks: str,
    norm: str | None,
    radius: str | None,
    *,
    steps: int | None = None,
    restarts: int | None = None,
    leave_early: bool = True,
    data: str = "",
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
) -> str:
    """What the folder of such an audit is called: its settings, without those left at their default.

    >>> folder_name("random-fgsm-pgd", "linf", "8/255"), folder_name("pgd", "l2", "0.5", steps=100, limit=200)
    ('linf-8_255-random-fgsm-pgd', 'l2-0.5-pgd-steps100-limit200')

    Norm and radius are None for attacks without a ball.
    """
    parts = [norm, radius and radius.replace("/", "_"), attacks]
    for label, value in (("steps", steps), ("restarts", restarts), ("limit", limit), ("seed", seed or None)):
        parts.append(None if value is None else f"{label}{value}")
    parts += [None if leave_early else "no-leave-early", data, split if split != "test" else None]
    return re.sub(r"[^\w.+-]+", "_", "-".join(filter(None, parts)))


def _of_a_run(
    run: Run,
    data: str | None,
    data_root: str | Path | None,
    split: str,
    extras: Sequence[object],
    model: Given | None,
) -> Target:
    if model is None and not settings_class(run).classifies:
        raise UserError(
            f"'{run.folder}' holds a '{run.config['recipe']}', which is no classifier; give a run of one, e.g. of"
            " `epslab train small-cnn`."
        )
    if any(extra is not None for extra in extras):
        raise UserError(
            f"'{run.folder}' has its weights and its normalisation inside; `state=`, `mean=` and `std=` are for a"
            " model at an import path."
        )
    if model is not None:
        images, own = examples_for(run, data, data_root, split), data or str(run.data)
    else:
        images, own = _images_of(run, data, data_root, split)
    if not isinstance(images, ImageSet):
        raise UserError(f"'{own}' holds no images, and only classifiers of images are attacked.")
    weights = run.weights_hash()
    net = load(run, model)
    require_classifier(net, str(run.folder), images.image_shape, len(images.classes))
    return Target(str(run.folder), net, images, own, split, run, {"weights": weights} if weights else {})


def _images_of(run: Run, data: str | None, data_root: str | Path | None, split: str) -> tuple[ImageSet, str]:
    """The images that a run of a recipe is attacked on, and the name of their data set."""
    own = str(run.config["data"])
    if data is None or data == own:
        parts = splits(run, data_root)
        images = parts.test if split == "test" else parts.validation
        if split == "validation":
            require_held_out(run, images)
    elif split != "test":
        raise UserError(f"'{run.folder}' held nothing out of '{data}', only of '{own}'; use `split='test'`.")
    else:
        images = datasets.load(data, "test", data_root or run.config.get("data_root"))
    return images, data or own


def _of_an_import_path(
    path: str,
    data: str | None,
    data_root: str | Path | None,
    split: str,
    state: str | Path | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> Target:
    if data is None:
        raise UserError(
            f"Which images is '{path}' attacked on? Give `data=`: {', '.join(datasets.NAMES)}, or a folder."
        )
    if split != "test":
        raise UserError(f"Only a run has validation images; '{path}' is attacked on `split='test'`.")
    images = datasets.load(data, "test", data_root)
    of = None if state is None else file_hash(Path(state))  # of a URL there is none
    model = load_model(path, images.image_shape, len(images.classes), state=state, mean=mean, std=std)
    return Target(path, model, images, str(data), split, bound={"state": of} if of else {})
