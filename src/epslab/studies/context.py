"""What a study is given: the data, the scale, where to write, and runs that are trained once and shared."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from epslab import recipes
from epslab.errors import UserError, unknown
from epslab.recipes import ClassifierRecipe, TrainingSettings, VAERecipe
from epslab.recipes.checks import pixels
from epslab.studies import classifiers
from epslab.training import Machine

if TYPE_CHECKING:
    from epslab.geometry import Ball
    from epslab.runs import Run

T = TypeVar("T")

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

    def __post_init__(self) -> None:
        """Refuse what nobody knows."""
        if self.scale not in SCALES:
            raise unknown("scale", self.scale, SCALES)
        if self.net is not None and self.net not in classifiers.NETS:
            raise unknown("net", self.net, classifiers.NETS)
        if not pixels(self.radius_text, "radius"):
            raise UserError("--radius is 0, but must be more: with no room to move, no attack changes anything.")

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

    def command(self, name: str) -> str:
        """The command line that runs a study so again."""
        words = f"epslab study {name} --data {shlex.quote(self.data)} --scale {self.scale} --seed {self.seed}"
        given = {"net": self.net, "radius": self.radius, "weights": self.weights}
        return words + "".join(f" --{flag} {shlex.quote(value)}" for flag, value in given.items() if value is not None)

    def train(self, recipe: TrainingSettings, name: str, seed: int) -> "Run":
        """The run ``out/runs/NAME-SEED``: trained, carried on where it was stopped, or taken as it is if finished.

        A run with other settings that lies there is replaced.

        Raises:
            KeyboardInterrupt: Training was interrupted; its run can be carried on.
        """
        from epslab.runs import Run

        folder = self.out / "runs" / f"{name}-{seed}"
        run = Run(folder)
        same = run.exists() and self._matches(run, recipe, seed)
        # A run stopped before its first checkpoint has nothing to carry on from.
        begun = same and run.last_checkpoint.exists()
        if not begun or run.result().get("status") != "finished":
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
        # Ctrl-C ends a training cleanly, with a run that can be resumed; it is the whole study that was meant.
        if run.result().get("status") == "interrupted":
            raise KeyboardInterrupt
        return run

    def _matches(self, run: "Run", recipe: TrainingSettings, seed: int) -> bool:
        """Whether a run has these settings; where the data lies does not matter."""
        config = run.config
        return (config.get("data"), config.get("seed")) == (self.data, seed) and recipes.recipe_of(run) == recipe
