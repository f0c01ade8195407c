"""One folder per run, which describes itself: settings, curves, measurements, pictures, weights, provenance.

A folder is a run if it holds ``config.yaml``. Everything in it is written atomically: a kill leaves the old file or the
new.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from epslab.errors import UserError
from epslab.files import require_space, write_atomic
from epslab.runs import earlier, weights
from epslab.runs.best import Best, best
from epslab.runs.columns import Column
from epslab.runs.measurement import Measured, Measurement
from epslab.runs.pictures import Picture, pictures_in, save_picture
from epslab.runs.plain import plain
from epslab.runs.provenance import provenance as provenance_of_process
from epslab.runs.series import read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

_FILES = (
    "config.yaml",
    "metrics.csv",
    "timing.csv",
    "model.safetensors",
    "result.json",
    "index.json",
    "last.ckpt",
    "best.ckpt",
)
_TEMPORARY = tuple(f".{name}." for name in _FILES)
_PICTURE = re.compile(r"\..+\.png\.\w+")


class Run:
    """The folder of one training run, by what it holds.

    ``config.yaml`` (settings and provenance) · ``metrics.csv`` (one row an epoch) · ``timing.csv`` · ``tensorboard/`` ·
    ``checkpoints/`` (for resuming) · ``model.safetensors`` (best weights) · ``figures/`` · ``result.json``.

    ``Run(folder)`` looks at nothing on disk; ``Run.open`` checks that the folder is a run, ``Run.create`` makes one.

    Args:
        folder: Where it is.
        read_only: Write nothing: ``update_result`` and ``save_weights`` do nothing. So it is in every process but the
            first of a distributed training.
    """

    def __init__(self, folder: Path | str, *, read_only: bool = False) -> None:
        self.folder = Path(folder)
        self.read_only = read_only

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """The run in ``folder``.

        Raises:
            UserError: The folder does not exist or is no run.
        """
        run = cls(Path(folder))
        if not run.exists():
            what = "has no config.yaml" if run.folder.is_dir() else "is not a folder"
            raise UserError(f"'{folder}' is not a run: it {what}; give a folder that `epslab train` has written.")
        return run

    @classmethod
    def create(
        cls,
        folder: Path | str,
        settings: Mapping[str, object],
        *,
        provenance: Mapping[str, object] | None = None,
        overwrite: bool = False,
    ) -> "Run":
        """A new run in ``folder``, with ``config.yaml`` written.

        Args:
            folder: Must not exist, or be empty, or be a run to ``overwrite``.
            settings: What repeats the run: top-level entries of ``config.yaml``.
            provenance: Entries beside the versions, commit and command line, e.g. the data's checksum.
            overwrite: Empty the folder first if it is a run; any other folder is never emptied.

        Raises:
            UserError: The folder holds a run and ``overwrite`` is false, holds other things, or cannot be written.
        """
        run = cls(Path(folder))
        try:
            if run.exists():
                if not overwrite:
                    raise UserError(
                        f"'{folder}' already holds a run; carry it on with --resume, replace it with --overwrite,"
                        " or choose another --out."
                    )
                # config.yaml stays until it is replaced: a kill meanwhile leaves a folder that is still a run.
                _empty(run.folder, keep={"config.yaml"})
            run.folder.mkdir(parents=True, exist_ok=True)
            run.clear_leftovers()
            others = {path.name for path in run.folder.iterdir()} - {"config.yaml"}
            if others:
                raise UserError(
                    f"'{folder}' is not empty and not a run (it holds '{min(others)}'); choose another --out."
                )
            run._write_config(settings, {**provenance_of_process(), **(provenance or {})})
            run.make_folders()
        except OSError as error:
            raise UserError(
                f"Cannot write a run to '{folder}' ({error.strerror or error}); choose an --out that can be written."
            ) from error
        return run

    def exists(self) -> bool:
        """Whether the folder is a run."""
        return (self.folder / "config.yaml").is_file()

    def make_folders(self) -> None:
        """Make the folders within it."""
        for folder in (self.checkpoints, self.figures):
            folder.mkdir(exist_ok=True)

    def clear_leftovers(self) -> None:
        """Delete the temporary files that a kill while writing has left."""
        for folder in (self.folder, self.checkpoints, self.figures):
            for path in folder.glob(".*"):
                if path.is_file() and (path.name.startswith(_TEMPORARY) or _PICTURE.fullmatch(path.name)):
                    path.unlink(missing_ok=True)

    @property
    def config(self) -> dict[str, Any]:
        """The settings, and under ``provenance`` what they ran with.

        Raises:
            UserError: ``config.yaml`` is missing or no mapping.
        """
        path = self.folder / "config.yaml"
        try:
            config = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"Cannot read '{path}' as YAML; restore it, or start a new run.") from error
        if not isinstance(config, dict):
            raise UserError(f"'{path}' holds no settings (a mapping is expected); restore it, or start a new run.")
        return config

    def update_settings(self, settings: Mapping[str, object]) -> None:
        """Replace the settings in ``config.yaml``, e.g. by those of a run that is carried on for more epochs."""
        if not self.read_only:
            self._write_config(settings, self.config.get("provenance", {}))

    def _write_config(self, settings: Mapping[str, object], provenance: Mapping[str, object]) -> None:
        content = {**plain(settings), "provenance": plain(provenance)}
        write_atomic(self.folder / "config.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    @property
    def weights(self) -> Path:
        """The best weights: ``model.safetensors``."""
        return self.folder / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, for resuming."""
        return self.folder / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """Where training stood when it last wrote its whole state."""
        return self.checkpoints / "last.ckpt"

    @property
    def best_checkpoint(self) -> Path:
        """The whole state at the end of the best epoch so far."""
        return self.checkpoints / "best.ckpt"

    @property
    def figures(self) -> Path:
        """The folder of figures."""
        return self.folder / "figures"

    @property
    def tensorboard(self) -> Path:
        """The folder of TensorBoard events."""
        return self.folder / "tensorboard"

    def metrics(self) -> dict[str, list[float]]:
        """``metrics.csv`` by column, one value a row; NaN where the row has none (training at epoch 0)."""
        return read_table(self.folder / "metrics.csv")

    def timing(self) -> dict[str, list[float]]:
        """``timing.csv`` by column: ``epoch``, ``seconds`` spent training in it, ``images_per_second``."""
        return read_table(self.folder / "timing.csv")

    def result(self) -> dict[str, Any]:
        """``result.json``: what the run came to; empty before there is one."""
        path = self.folder / "result.json"
        if not path.exists():
            return {}
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise UserError(f"Cannot read '{path}' as JSON; delete it and evaluate the run again.") from error
        if not isinstance(result, dict):
            raise UserError(f"'{path}' holds no JSON object; delete it and evaluate the run again.")
        return result

    def update_result(self, **entries: object) -> None:
        """Set these entries of ``result.json``; the others stay."""
        self._write_result({**self.result(), **plain(entries)})

    def _write_result(self, content: Mapping[str, object]) -> None:
        if not self.read_only:
            text = json.dumps(content, indent=2, ensure_ascii=False)
            write_atomic(self.folder / "result.json", text + "\n")

    def measured(self) -> Measured:
        """What was measured of the trained model; of runs written before they described themselves, too.

        Raises:
            UserError: ``result.json`` cannot be read.
        """
        result = self.result()
        try:
            if "measurements" in result:
                return Measured.from_dict(result)
            return earlier.measured(result.get("evaluation") or {}, self.config)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            path = self.folder / "result.json"
            raise UserError(f"'{path}' is not as `epslab evaluate` writes it; evaluate the run again.") from error

    def measurements(self) -> dict[str, Measurement]:
        """The numbers that were measured, by key, in their order; empty before there are any."""
        return {found.key: found for found in self.measured().measurements}

    def record(self, measured: Measured, *, split: str, images: int) -> None:
        """Write what was measured into ``result.json``, in place of what was measured before.

        Args:
            measured: Numbers, tables and sentences.
            split: What it was measured on: "test".
            images: How many examples that were.
        """
        result = self.result()
        result.pop("evaluation", None)
        self._write_result({**result, "split": split, "images": images, **plain(measured.to_dict())})

    def declare(self, columns: Mapping[str, Column]) -> None:
        """Say what the columns of ``metrics.csv`` are, by their names without the stage: "loss", "critic/loss"."""
        self.update_result(columns={key: vars(column) for key, column in columns.items()})

    def columns(self) -> dict[str, Column]:
        """What was declared of the columns, in its order.

        Raises:
            UserError: ``result.json`` cannot be read.
        """
        result = self.result()
        if "columns" not in result:
            return earlier.columns(self.metrics())
        try:
            return {str(key): Column(**column) for key, column in result["columns"].items()}
        except (TypeError, AttributeError) as error:
            path = self.folder / "result.json"
            raise UserError(f"'{path}' does not say what its columns are; resume the run, or train again.") from error

    def best(self) -> Best | None:
        """The epoch the weights are of, by what was monitored; None before the first, or where nothing was."""
        metrics, result = self.metrics(), self.result()
        monitor = result["monitor"] if "monitor" in result else earlier.monitor(metrics)
        return best(metrics, monitor, self.columns(), self.examples)

    @property
    def examples(self) -> str:
        """What it was trained on, in the plural: "points" where an example has one dimension, else "images"."""
        return "points" if len((self.config.get("provenance") or {}).get("shape") or ()) == 1 else "images"

    def show(
        self, name: str, figure: "Figure | bytes", caption: str, *, alt: str = "", order: int | float | None = None
    ) -> None:
        """Save a picture as ``figures/NAME.png``, its caption and place in ``figures/index.json``.

        Args:
            name: A file name without ``.png``, e.g. "samples-2". The same name again replaces it in its place.
            figure: A matplotlib figure, or the bytes of a PNG.
            caption: What to see in it, a sentence.
            alt: What it shows, for those who cannot see it; the caption if empty.
            order: Pictures with an order come first, the smallest order first; then the others, in the order they
                were first saved.

        Raises:
            UserError: The name is no file name, or the bytes are no PNG.
        """
        if not self.read_only:
            save_picture(self.figures, name, figure, caption, alt=alt, order=order)

    def pictures(self) -> list[Picture]:
        """The pictures of ``figures/`` in their order, with their captions."""
        return pictures_in(self.figures)

    def save_weights(self, state: Mapping[str, "Tensor"], about: Mapping[str, object] | None = None) -> None:
        """Write a state dict to ``model.safetensors``; ``about`` goes into the file's header, as JSON."""
        if not self.read_only:
            weights.save(self.weights, state, about or {})

    def weights_about(self) -> dict[str, Any]:
        """The header entries of ``model.safetensors``; empty where there is no such file."""
        return weights.about(self.weights)

    def load_weights(self, model: "nn.Module") -> None:
        """Put the best weights into ``model``, on whatever device it is.

        Raises:
            UserError: There are none, the file is not safetensors, or they belong to another architecture.
        """
        if not self.weights.exists():
            raise UserError(f"'{self.folder}' has no weights yet (model.safetensors); train it for at least one epoch.")
        weights.load(self.weights, model)

    def require_space_for(self, tensors: Iterable["Tensor"]) -> None:
        """Check that the disk holds checkpoints of a model with these parameters.

        Raises:
            UserError: It does not.
        """
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        # A checkpoint holds weights, two Adam moments and perhaps an average: last, best and one being written, and
        # the weights file twice for the same reason.
        require_space(self.folder, 14 * weights + 10_000_000, "a run's checkpoints")


def _empty(folder: Path, keep: set[str]) -> None:
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
