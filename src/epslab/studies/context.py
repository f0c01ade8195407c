"""What a study is given: the data, the scale, where to write, and runs that are trained once and shared."""

import hashlib
import shlex
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import epslab
from epslab import data as datasets
from epslab import recipes
from epslab.errors import UserError, unknown
from epslab.recipes import ClassifierRecipe, TrainingSettings, VAERecipe
from epslab.recipes.checks import pixels
from epslab.studies import classifiers
from epslab.studies.found import Kept, read, returned, write
from epslab.training import Machine

if TYPE_CHECKING:
    from epslab.geometry import Ball
    from epslab.runs import Run

T = TypeVar("T")
P = ParamSpec("P")

SCALES = ("quick", "full")
COURSE = VAERecipe()
"""The course's settings: the autoencoder a study trains at full scale."""
QUICK = VAERecipe(
    net="perceptron", hidden=(256,), epochs=30, batch_size=64, learning_rate=2e-3, sample_epochs=(0, 3, 30)
)
"""The autoencoder a study trains at quick scale.

Not convolutions: on 8×8 pixels those ignore z for longer than this trains.
"""


@dataclass(frozen=True)
class Context:
    """Where and on what a study works.

    >>> context = Context(data="cifar10", scale="full", net="small-cnn")
    >>> context.radius_text, context.seeds
    ('2/255', (0, 1, 2))
    >>> context.command("fgsm")
    'epslab study fgsm --data cifar10 --scale full --seed 0 --net small-cnn'

    Args:
        data: A data set's name, or a folder of images by class.
        scale: "quick" trains small nets for seconds, with one training seed; "full" the course's, the generative ones
            with three.
        out: A study is saved in ``out/NAME``, the runs it trains in ``out/runs``.
        seed: Of everything random; training seeds count up from it.
        data_root: Where data sets lie.
        accelerator: Lightning's accelerator.
        devices: Devices to train on, as Lightning takes them.
        progress: Show the progress of each training.
        net: The classifier: "small-cnn" or "resnet18"; None: the small one at quick scale, the course's at full.
        radius: Of the maximum norm's ball that attacks stay in, e.g. "8/255"; None: the data set's own
            (``classifiers.RADII``).
        weights: Run folder, file or URL of the weights that the study of defences starts from; None: those of its own
            undefended classifier.
        study: The study that measures; its parts are kept in ``out/STUDY/found``.
        trained: Filled by ``train``: run folder, from ``out``, to digest of the weights.

    Raises:
        UserError: An unknown scale or net, or a radius that is no positive number.
    """

    data: str = "digits"
    scale: str = "quick"
    out: Path = Path("studies")
    seed: int = 0
    data_root: Path | None = None
    accelerator: str = "auto"
    devices: int | str = 1
    progress: bool = True
    net: str | None = None
    radius: str | None = None
    weights: str | None = None
    study: str = "study"
    trained: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what nobody knows."""
        if self.scale not in SCALES:
            raise unknown("scale", self.scale, SCALES)
        if self.net is not None and self.net not in classifiers.NETS:
            raise unknown("net", self.net, classifiers.NETS)
        if not pixels(self.radius_text, "radius"):
            raise UserError("`radius=` is 0, but must be more: with no room to move, no attack changes anything.")

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds: one at quick scale, three at full, where their spread is shown."""
        return tuple(range(self.seed, self.seed + self.pick(1, 3)))

    def pick(self, quick: T, full: T) -> T:
        """The value for this scale."""
        return quick if self.scale == "quick" else full

    def recipe(self, **changes: Any) -> VAERecipe:
        """The settings to train an autoencoder with at this scale, some of them changed."""
        return replace(self.pick(QUICK, COURSE), **changes)

    @property
    def classifier_net(self) -> str:
        """The classifier by name: the one that was asked for, or this scale's."""
        return self.net or self.pick("small-cnn", "resnet18")

    def classifier(self, **changes: Any) -> ClassifierRecipe:
        """The settings to train a classifier with at this scale, some of them changed: no augmentation, no defence."""
        return replace(self.pick(classifiers.QUICK, classifiers.FULL)[self.classifier_net], **changes)

    @property
    def radius_text(self) -> str:
        """The radius as it was written: "0.15", "2/255"."""
        return self.radius or classifiers.RADII.get(Path(self.data).name, classifiers.OTHER_RADIUS)

    @property
    def ball(self) -> "Ball":
        """What attacks may do to an image: the maximum norm's ball of this radius."""
        from epslab.geometry import Linf

        return Linf(pixels(self.radius_text, "radius"))

    def of(self, study: str) -> "Context":
        """This context for one study; the data's checksums are computed once for all.

        Raises:
            UserError: The data cannot be read.
        """
        own = replace(self, study=study, trained={})
        own.__dict__["checksums"] = self.checksums
        return own

    @cached_property
    def checksums(self) -> tuple[str, str]:
        """Of the training and the test images."""
        train, test = (datasets.load(self.data, split, self.data_root).checksum() for split in ("train", "test"))
        return train, test

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What a study's numbers depend on: numbers kept with other settings are measured again."""
        return {
            "data": [self.data, *self.checksums],
            "scale": self.scale,
            "seed": self.seed,
            "accelerator": self.accelerator,
            "net": self.classifier_net,
            "radius": self.radius_text,
            "weights": None if self.weights is None else [self.weights, _digest(Path(self.weights))],
            "version": epslab.__version__,
        }

    @property
    def folder(self) -> Path:
        """The study's own folder."""
        return self.out / self.study.replace(":", ".")

    def command(self, name: str) -> str:
        """The command line that runs a study so again."""
        words = f"epslab study {name} --data {shlex.quote(self.data)} --scale {self.scale} --seed {self.seed}"
        given = {"net": self.net, "radius": self.radius, "weights": self.weights}
        return words + "".join(f" --{flag} {shlex.quote(value)}" for flag, value in given.items() if value is not None)

    def kept(self, name: str, kind: type[T]) -> "Kept[T] | None":
        """What ``keep`` kept under this name with these settings and the weights that lie here now, or None."""
        found = read(kind, self._file(name), self.settings)
        same = found is not None and all(_digest(self.out / run) == weights for run, weights in found.runs.items())
        return found if same else None

    def keep(self, name: str, measure: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> "Kept[T]":
        """What ``measure`` returns, as it is read back from disk; not measured if it was before."""
        kind = returned(measure)
        if (found := self.kept(name, kind)) is None:
            start = time.perf_counter()
            value = measure(*arguments, **options)
            write(Kept(value, time.perf_counter() - start, dict(self.trained)), self._file(name), self.settings)
            shutil.rmtree(self.folder / "attacked", ignore_errors=True)
            found = self.kept(name, kind)
            if found is None:
                raise TypeError(f"a {kind.__name__} is not read back as it was written: see its annotations")
        return found

    def once(self, name: str, measure: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """A part of what a study measures. A study that was killed goes on after the last part it kept.

        Args:
            name: Of the part, as a file name.
            measure: Measures it, and is annotated with the dataclass it returns (see ``epslab.studies.found``). Not
                called if that was done before with the same settings and weights.
            arguments: For ``measure``.
            options: Likewise.
        """
        return self.keep(name, measure, *arguments, **options).value

    def attacked(self, *made_of: str) -> Path:
        """Where an evaluation of this is kept while it runs; deleted as soon as ``keep`` has kept a result."""
        return self.folder / "attacked" / hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]

    def forget(self) -> None:
        """Delete what the study measured; the runs it trained stay."""
        shutil.rmtree(self.folder / "found", ignore_errors=True)

    def _file(self, name: str) -> Path:
        return self.folder / "found" / f"{name}.json"

    def train(self, recipe: TrainingSettings, name: str, seed: int) -> "Run":
        """The run ``out/runs/NAME-SEED``: trained, carried on where it was stopped, or taken as it is if finished.

        A finished run is taken if it has these settings and was trained on the same examples, whatever they are called
        and wherever they lie now. A run with other settings or of other examples is replaced.

        Raises:
            KeyboardInterrupt: Training was interrupted; its run can be carried on.
        """
        from epslab.runs import Run

        folder = self.out / "runs" / f"{name}-{seed}"
        run = Run(folder)
        same = run.exists() and self._matches(run, recipe, seed)
        finished = same and run.result().get("status") == "finished" and run.weights.exists()
        if not finished:
            # A run stopped before its first checkpoint has nothing to carry on from.
            begun = same and run.last_checkpoint.exists() and run.config.get("data") == self.data
            run = recipes.train(
                recipe,
                data=self.data,
                data_root=self.data_root,
                out=folder,
                seed=seed,
                resume=begun,
                overwrite=run.exists() and not begun,
                machine=Machine(self.accelerator, self.devices),
                progress=self.progress,
            )
        elif run.config.get("data") != self.data:
            settings = {key: value for key, value in run.config.items() if key != "provenance"}
            run.update_settings({**settings, "data": self.data})  # where the same examples are found now
        # Ctrl-C ends a training cleanly, with a run that can be resumed; it is the whole study that was meant.
        if run.result().get("status") == "interrupted":
            raise KeyboardInterrupt
        self.trained[f"runs/{folder.name}"] = _digest(folder)
        return run

    def _matches(self, run: "Run", recipe: TrainingSettings, seed: int) -> bool:
        """Whether a run has these settings and was trained on the same examples."""
        config = run.config
        if config.get("seed") != seed or recipes.recipe_of(run) != recipe:
            return False
        then = (config.get("provenance") or {}).get("data")
        if not then:  # an old run, which knows its data by name only
            return bool(config.get("data") == self.data)
        return bool(then == recipes.trained_on(recipe, self.data, self.data_root, seed))

    def tidy(self, runs: Iterable[str]) -> None:
        """Delete the checkpoints of these runs that are finished: nothing but training on would need them.

        Args:
            runs: Run folders, from ``out``.
        """
        from epslab.runs import Run
        from epslab.runs.cleaning import drop_checkpoints

        for name in runs:
            if (run := Run(self.out / name)).exists():
                drop_checkpoints(run)


def _digest(weights: Path) -> str:
    """SHA-256 of a file, or of a run's weights; empty where there is none."""
    file = weights / "model.safetensors" if weights.is_dir() else weights
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""
