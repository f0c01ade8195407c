"""Measure a trained model as its recipe does, and bind the numbers to what they were measured on."""

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from epslab.data import Examples
from epslab.errors import UserError, unknown
from epslab.recipes.checks import at_least
from epslab.recipes.classifier.settings import ClassifierRecipe
from epslab.recipes.common import TrainingSettings
from epslab.recipes.features import features_for
from epslab.recipes.given import Given, examples_for, options_for
from epslab.recipes.plan import Asked, Beside, Plan
from epslab.recipes.running import Splits, planned, planned_of, planned_with_weights, recipe_of, stand_in
from epslab.recipes.table import settings_class
from epslab.runs import Measured, Measurement, Run
from epslab.runs.lock import lock

_SPLITS = ("test", "validation")


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What was measured of a run, whether or not its folder could keep it.

    Args:
        measured: Numbers, tables and sentences.
        split: What was measured on: "test" or "validation".
        images: Number of examples.
        unkept: Why the run's folder holds none or not all of it, a sentence; None if it holds all.
    """

    measured: Measured
    split: str
    images: int
    unkept: str | None = None

    @property
    def numbers(self) -> dict[str, Measurement]:
        """The numbers by key, in their order."""
        return {found.key: found for found in self.measured.measurements}


def evaluate(run: Run, **options: Any) -> dict[str, Measurement]:
    """Measure a trained model as its recipe does, with pictures; arguments and errors as for ``measure``.

    A folder that cannot be written costs the record, not the numbers: they are returned, with a warning.

    Returns:
        What was written to ``result.json``, by key.
    """
    found = measure(run, **options)
    if found.unkept is not None:
        warnings.warn(found.unkept, UserWarning, stacklevel=2)
    return found.numbers


def measure(
    run: Run,
    *,
    split: str = "test",
    data_root: str | Path | None = None,
    limit: int | None = None,
    batch_size: int = 256,
    seed: int = 0,
    progress: bool = False,
    model: Given | None = None,
    data: str | Path | Examples | None = None,
    **options: Any,
) -> Evaluated:
    """Measure a trained model as its recipe does, with pictures.

    Numbers and pictures are bound to the weights, the examples and the settings they were measured on: once one of
    them changes, the run no longer shows them as its own.

    Args:
        run: A trained run; its ``result.json`` gains the numbers, its ``figures`` the pictures.
        split: "test" or "validation".
        data_root: Where data sets lie; None: where they lay in training.
        limit: Number of images, drawn by the seed; None: all.
        batch_size: Images at a time; the result depends on it by rounding only.
        seed: Seed of the choice of images and of every image's noise.
        progress: Show a progress bar.
        model: Its model, for a run that ``fit`` wrote (``epslab.recipes.given``).
        data: With it, what is measured: a data set whose test split is taken, or examples; None: the run's own.
        options: Fields of the recipe's ``options``, e.g. of a VAE ``importance_samples``.

    Raises:
        UserError: An unknown split or option, a value that cannot work, a run without weights or with damaged ones, or
            validation images that are no longer those held out of training.
    """
    if split not in _SPLITS:
        raise unknown("split", split, _SPLITS)
    at_least(1, limit=limit, batch_size=batch_size)
    if data is not None and model is None:
        raise UserError(f"`data=` is for a run that fit wrote, with `model=`; '{run.folder}' has data of its own.")
    asked = Asked(batch_size, seed, progress, _options(run, options_of(run, model), options))
    # What cannot be read is refused before the work that would be lost.
    run.result(), run.pictures()
    if model is None:
        raw, plan = planned_of(run, data_root)
        images, doubts = _examples(run, raw, plan, split)
        features = partial(features_for, run, data_root=data_root, progress=progress)
        asked = dataclasses.replace(asked, beside=Beside(lambda: plan.prepare(raw.train, True), features))
        settings = shaping(recipe_of(run))
    else:
        plan, images, doubts, settings = (
            planned_with_weights(run, model),
            examples_for(run, data, data_root, split),
            [],
            {},
        )
        require_shape(run, images)
    if limit is not None and limit < len(images):
        images = images.take(limit, seed)
    kept = _Kept(run.folder, read_only=run.read_only)
    with _locked(run):
        of = {"weights": run.load_weights(plan.model), "data": images.checksum(), "settings": settings}
        with kept.bound(of):
            measured = plan.measure(plan.model.eval(), kept, images, asked)
            measured = dataclasses.replace(measured, warnings=[*measured.warnings, *doubts])
            kept.record(measured, split=split, images=len(images))
    return Evaluated(measured, split, len(images), kept.unkept)


def options_of(run: Run, model: Given | None = None) -> type | None:
    """The class of the options that measuring a run takes; None if it takes none.

    Raises:
        UserError: The run's recipe cannot be found, or a model is missing or cannot be built.
    """
    return settings_class(run).options if model is None else options_for(model)


def shaping(settings: TrainingSettings) -> dict[str, Any]:
    """The settings that shape the model and its examples, not only how it is trained."""
    common = ClassifierRecipe if isinstance(settings, ClassifierRecipe) else TrainingSettings
    training = {field.name for field in dataclasses.fields(common)}
    return {name: value for name, value in vars(settings).items() if name not in training}


def trained_on(settings: TrainingSettings, data: str, data_root: str | Path | None, seed: int) -> dict[str, str]:
    """Checksums of the training and validation examples, as a run of these settings has them in ``config.yaml``."""
    raw, plan = planned(settings, data, data_root, seed)
    return {
        "train": plan.prepare(raw.train, False).checksum(),
        "validation": plan.prepare(raw.validation, True).checksum(),
    }


@contextmanager
def _locked(run: Run) -> Iterator[None]:
    """Inside the block nobody else writes to the run's folder; one that cannot be written needs no lock.

    Raises:
        UserError: Another process writes to it.
    """
    with ExitStack() as stack:
        if not run.read_only:
            with suppress(OSError):
                stack.enter_context(lock(run.folder, "measuring"))
        yield


class _Kept(Run):
    """A run that notes what its disk refuses, instead of losing what was measured with it."""

    def __init__(self, folder: Path, *, read_only: bool = False) -> None:
        super().__init__(folder, read_only=read_only)
        self.unkept: str | None = None

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.unkept = (
                f"The numbers were measured, but are not kept: '{self.folder}' cannot be written"
                f" ({error.strerror or error}); copy the run to a folder that can be written, and measure it there."
            )

    def show(self, *arguments: Any, **options: Any) -> None:
        with self._noted():
            super().show(*arguments, **options)

    def record(self, measured: Measured, *, split: str, images: int) -> None:
        with self._noted():
            super().record(measured, split=split, images=images)


def _examples(run: Run, raw: Splits, plan: Plan, split: str) -> tuple[Any, list[str]]:
    """The examples to measure, and why their numbers may be doubted.

    Raises:
        UserError: They are of another shape, or not those that were held out of training.
    """
    images = plan.prepare(raw.test if split == "test" else raw.validation, True)
    require_shape(run, images)
    name, then = run.config["data"], run.config["provenance"].get("data") or {}
    if split == "validation":
        require_held_out(run, images)
    elif "train" in then and plan.prepare(raw.train, False).checksum() != then["train"]:
        return images, [
            f"The training images of '{name}' are not those this model was trained on: they have changed since. If any"
            " of these test images was among them, the numbers are too good."
        ]
    return images, []


def require_shape(run: Run, images: Any) -> None:
    """Make sure that examples have the shape the run was trained on.

    Raises:
        UserError: They have another.
    """
    trained_on = stand_in(run).shape
    if images.shape != trained_on:
        raise UserError(
            f"The model of '{run.folder}' was trained on {run.examples} of shape {trained_on}, but"
            f" '{getattr(images, 'name', '') or run.data}' has {run.examples} of shape {images.shape}; evaluate it on"
            f" {run.examples} of the shape it was trained on."
        )


def require_held_out(run: Run, validation: Any) -> None:
    """Make sure that these are the examples that were held out of the run's training.

    Raises:
        UserError: The data has changed since, so that others would be drawn.
    """
    then = (run.config["provenance"].get("data") or {}).get("validation")
    if then is not None and validation.checksum() != then:
        raise UserError(
            f"The training images of '{run.config['data']}' have changed since '{run.folder}' was trained, so those it"
            " held out for validation cannot be told from those it saw; use `split='test'`."
        )


def _options(run: Run, kind: type | None, given: Mapping[str, Any]) -> Any:
    """The options of this class with these fields."""
    known = [] if kind is None else [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in known:
            raise UserError(
                f"`{name}=` does not measure a '{run.config.get('recipe', 'model')}' such as '{run.folder}'; leave it"
                " out."
            )
    return None if kind is None else kind(**given)
