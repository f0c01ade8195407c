"""One folder per run, which describes itself: settings, curves, measurements, pictures, weights, provenance."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.runs import earlier, weights
from epslab.runs.best import Best, best
from epslab.runs.columns import Column
from epslab.runs.folder import Folder
from epslab.runs.measurement import Measured, Measurement
from epslab.runs.pictures import Picture, pictures_in, save_picture
from epslab.runs.plain import plain
from epslab.runs.series import read_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn


class Run(Folder):
    """The folder of one training run and its content.

    ``config.yaml`` (settings and provenance) · ``metrics.csv`` (one row per epoch) · ``timing.csv`` · ``tensorboard/``
    · ``checkpoints/`` (for resuming) · ``model.safetensors`` (best weights) · ``figures/`` · ``result.json``.

    >>> import tempfile
    >>> run = Run.create(tempfile.mkdtemp(), {"recipe": "toy", "data": "digits"})
    >>> found = Measurement("fid", "FID", value=3.2, interval=(3.0, 3.4), better="lower", headline=True)
    >>> run.record(Measured([found]), split="test", images=360)
    >>> run.measurements()["fid"].text
    '3.20 [3.00, 3.40]'

    ``Run.open`` checks that the folder is a run, ``Run.create`` makes one; ``Run(folder)`` does not look at the disk.

    Args:
        folder: Where it is.
        read_only: Write nothing. Set in every process but the first of a distributed training.
    """

    def metrics(self) -> dict[str, list[float]]:
        """``metrics.csv`` by column, one value per row; NaN if the row has none (training at epoch 0)."""
        return read_table(self.folder / "metrics.csv")

    def timing(self) -> dict[str, list[float]]:
        """``timing.csv`` by column: ``epoch``, ``seconds`` of training, and the rate, ``images_per_second``."""
        return read_table(self.folder / "timing.csv")

    def result(self) -> dict[str, Any]:
        """The content of ``result.json``; empty if there is none yet."""
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
        """What was measured of the trained model; also of old runs, which do not describe themselves.

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
        """The measured numbers by key, in their order; empty if there are none yet."""
        return {found.key: found for found in self.measured().measurements}

    def record(self, measured: Measured, *, split: str, images: int) -> None:
        """Write what was measured into ``result.json``, in place of earlier measurements.

        Args:
            measured: Numbers, tables and sentences.
            split: What was measured on: "test".
            images: Number of examples.
        """
        result = self.result()
        result.pop("evaluation", None)
        self._write_result({**result, "split": split, "images": images, **plain(measured.to_dict())})

    def declare(self, columns: Mapping[str, Column]) -> None:
        """Describe the columns of ``metrics.csv``, by their names without the stage: "loss", "critic/loss"."""
        self.update_result(columns={key: vars(column) for key, column in columns.items()})

    def columns(self) -> dict[str, Column]:
        """The declared columns, in their order.

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
        """The epoch whose weights are kept; None before the first, or if nothing was monitored."""
        metrics, result = self.metrics(), self.result()
        if not metrics:
            return None
        monitor = result["monitor"] if "monitor" in result else earlier.monitor(metrics)
        return best(metrics, monitor, self.columns(), self.examples)

    @property
    def examples(self) -> str:
        """What it was trained on: "points" if an example has one dimension, else "images"."""
        return "points" if len((self.config.get("provenance") or {}).get("shape") or ()) == 1 else "images"

    def show(
        self, name: str, figure: "Figure | bytes", caption: str, *, alt: str = "", order: int | float | None = None
    ) -> None:
        """Save a picture as ``figures/NAME.png``; arguments and errors as for ``save_picture``."""
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
        """Put the best weights into ``model``, on its device.

        Raises:
            UserError: There are none, the file is not safetensors, or they belong to another architecture.
        """
        if not self.weights.exists():
            raise UserError(f"'{self.folder}' has no weights yet (model.safetensors); train it for at least one epoch.")
        weights.load(self.weights, model)
