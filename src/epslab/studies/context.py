"""What a study is given: the data, the scale, where to write, and runs that are trained once and shared."""

import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from epslab import recipes
from epslab.errors import unknown
from epslab.recipes import VAERecipe

if TYPE_CHECKING:
    from epslab.runs import Run

T = TypeVar("T")

SCALES = ("quick", "full")
COURSE = VAERecipe()
"""The course's settings: what a study trains at full scale."""
QUICK = VAERecipe(
    net="perceptron", hidden=(256,), epochs=30, batch_size=64, learning_rate=2e-3, sample_epochs=(0, 3, 30)
)
"""What a study trains at quick scale. Not convolutions: on 8×8 pixels those ignore z for longer than this trains."""


@dataclass(frozen=True)
class Context:
    """Where and on what a study works.

    Args:
        data: A data set's name, or a folder of images by class.
        scale: "quick" trains small nets for seconds, with one training seed; "full" the course's, with three.
        out: A study is saved in ``out/NAME``, the runs it trains in ``out/runs``.
        seed: Of everything random; training seeds count up from it.
        data_root: Where data sets lie.
        accelerator: Lightning's accelerator.
        devices: Devices to train on, as Lightning takes them.
        progress: Show the progress of each training.

    Raises:
        UserError: An unknown scale.
    """

    data: str = "digits"
    scale: str = "quick"
    out: Path = Path("studies")
    seed: int = 0
    data_root: Path | None = None
    accelerator: str = "auto"
    devices: int | str = 1
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse a scale nobody knows."""
        if self.scale not in SCALES:
            raise unknown("scale", self.scale, SCALES)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds: one at quick scale, three at full, where their spread is shown."""
        return tuple(range(self.seed, self.seed + self.pick(1, 3)))

    def pick(self, quick: T, full: T) -> T:
        """The value for this scale."""
        return quick if self.scale == "quick" else full

    def recipe(self, **changes: Any) -> VAERecipe:
        """The settings to train with at this scale, some of them changed."""
        return replace(self.pick(QUICK, COURSE), **changes)

    def command(self, name: str) -> str:
        """The command line that runs a study so again."""
        return f"epslab study {name} --data {shlex.quote(self.data)} --scale {self.scale} --seed {self.seed}"

    def train(self, recipe: VAERecipe, name: str, seed: int) -> "Run":
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
                accelerator=self.accelerator,
                devices=self.devices,
                progress=self.progress,
            )
        # Ctrl-C ends a training cleanly, with a run that can be resumed; it is the whole study that was meant.
        if run.result().get("status") == "interrupted":
            raise KeyboardInterrupt
        return run

    def _matches(self, run: "Run", recipe: VAERecipe, seed: int) -> bool:
        """Whether a run has these settings; where the data lies does not matter."""
        config = run.config
        return (config.get("data"), config.get("seed")) == (self.data, seed) and recipes.recipe_of(run) == recipe
