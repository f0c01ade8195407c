"""One folder per run, which describes itself: settings, curves, measurements, pictures, weights, provenance."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from epslab import notebook
from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.runs import binding, earlier, per_example, weights
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
    · ``checkpoints/`` (for resuming) · ``model.safetensors`` (best weights) · ``figures/`` · ``result.json`` ·
    ``examples.csv`` (what was measured of each example).

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

    _of: Mapping[str, object] | None = None
    _earlier_bound = False

    def _repr_html_(self) -> str:
        config, best = self.config if self.exists() else {}, self.best() if self.exists() else None
        rows = [("model", str(config.get("recipe", ""))), ("data", str(config.get("data", "")))]
        rows += [("epochs", str(self.epochs))] if self.exists() else []
        rows += [] if best is None else [("best epoch", best.text)]
        measured = self.measured() if self.exists() else Measured([])
        rows += [(f"{one.name}{f' ({one.note})' if one.note else ''}", one.text) for one in measured.measurements]
        return notebook.shown(f"Run {self.folder}", [row for row in rows if row[1]], note=" ".join(measured.warnings))

    def metrics(self) -> dict[str, list[float]]:
        """``metrics.csv`` by column, one value per row; NaN if the row has none (training at epoch 0)."""
        return read_table(self.folder / "metrics.csv")

    def timing(self) -> dict[str, list[float]]:
        """``timing.csv`` by column: ``epoch``, ``seconds`` of training, and the rate, ``images_per_second``."""
        return read_table(self.folder / "timing.csv")

    @property
    def epochs(self) -> int:
        """The epochs of training it has completed."""
        return int(max(self.metrics().get("epoch") or [0]))

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
        """What was measured of the weights that lie here; also of old runs, which do not describe themselves.

        What was measured of other weights is left out: then there is nothing but the sentence of ``stale``, as a
        warning.

        Raises:
            UserError: ``result.json`` cannot be read.
        """
        if (stale := self.stale()) is not None:
            return Measured([], warnings=[stale])
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

    def stale(self) -> str | None:
        """Why the measurements are no longer the run's, a sentence; None if they are, or if an old run does not say.

        Training that went on, weights replaced by others and settings changed by hand make them stale.
        """
        result = self.result()
        changed = None
        if result.get("of") and ("measurements" in result or "evaluation" in result):
            changed = self.changed_since(result["of"])
        if changed is None:
            return None
        return (
            f"The numbers, tables and pictures of the last evaluation are left out: {changed};"
            f" `epslab evaluate {shlex.quote(str(self.folder))}` measures the run again."
        )

    def stale_attacks(self) -> dict[str, str]:
        """The attacks in ``attacks/`` that were made on something else than the run as it is: folder name to reason."""
        found = {
            folder.name: self.changed_since(content.get("of"))
            for folder, content in binding.attack_folders(self.folder).items()
        }
        return {name: changed for name, changed in found.items() if changed is not None}

    def changed_since(self, of: Mapping[str, Any] | None) -> str | None:
        """What has changed since something was measured of this run, a clause: "the weights have changed since".

        Args:
            of: What it is bound to (see ``bound``); None or empty if that is unknown.

        Returns:
            None if nothing has changed, or if that cannot be told.
        """
        return binding.difference(of, binding.hash_here(self.folder), self.config)

    @contextmanager
    def bound(self, of: Mapping[str, object]) -> Iterator[None]:
        """Bind what is recorded and shown within to what is measured.

        Args:
            of: ``weights``: their hash; ``data``: the checksum of the examples; ``settings``: those of the run's
                settings that shape the model and its examples.
        """
        before, self._of = self._of, plain(of)
        try:
            yield
        finally:
            self._of = before

    def record(self, measured: Measured, *, split: str, images: int) -> None:
        """Write what was measured into ``result.json``, in place of earlier measurements.

        It is bound to the weights that lie here, or to what ``bound`` says.

        Args:
            measured: Numbers, tables and sentences.
            split: What was measured on: "test".
            images: Number of examples.
        """
        result = {name: entry for name, entry in self.result().items() if name not in ("evaluation", "of")}
        own = binding.hash_here(self.folder)
        of = self._of or (own and {"weights": own})
        about = {**({"of": of} if of else {}), "split": split, "images": images}
        if not self.read_only:
            per_example.write(self.folder, measured.per_example)
        self._write_result({**result, **about, **plain(measured.to_dict())})

    def per_example(self) -> dict[str, list[float]]:
        """The values of each example whose mean is a measurement, by its key; empty if none were kept."""
        return per_example.read(self.folder, self.measurements())

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
            return earlier.columns(self.metrics()) if "recipe" in self.config else {}
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
    def data(self) -> str | None:
        """The name of the data set it was trained on; None where ``fit`` was given examples without a name."""
        config = self.config
        name = config.get("data") or (config.get("provenance") or {}).get("dataset")
        return None if name is None else str(name)

    @property
    def examples(self) -> str:
        """What it was trained on: "points" if an example has one dimension, else "images"."""
        return "points" if len((self.config.get("provenance") or {}).get("shape") or ()) == 1 else "images"

    def show(
        self, name: str, figure: "Figure | bytes", caption: str, *, alt: str = "", order: int | float | None = None
    ) -> None:
        """Save a picture as ``figures/NAME.png``; arguments and errors as for ``save_picture``."""
        if not self.read_only:
            save_picture(self.figures, name, figure, caption, alt=alt, order=order, of=self._of)

    def pictures(self) -> list[Picture]:
        """The pictures of ``figures/`` in their order, with their captions, without those of ``stale_pictures``."""
        stale = {picture.name for picture in self.stale_pictures()}
        return [picture for picture in pictures_in(self.figures) if picture.name not in stale]

    def stale_pictures(self) -> list[Picture]:
        """The pictures that show other weights than those that lie here, or other data than was measured last."""
        found = [picture for picture in pictures_in(self.figures) if picture.of]
        if not found:
            return []
        data = (self.result().get("of") or {}).get("data")
        return [
            picture
            for picture in found
            if self.changed_since(picture.of) or (data and picture.of.get("data", data) != data)
        ]

    def save_weights(self, state: Mapping[str, "Tensor"], about: Mapping[str, object] | None = None) -> None:
        """Write a state dict to ``model.safetensors``; ``about`` goes into the file's header, as JSON.

        What an earlier version measured with the weights before is bound to them, and so is stale from here on.
        """
        if self.read_only:
            return
        if not self._earlier_bound:
            bound = binding.bind_earlier(self.folder, self.result())
            if bound is not None:
                self.update_result(**bound)
            self._earlier_bound = True
        weights.save(self.weights, state, about or {})

    def weights_hash(self) -> str | None:
        """The hash of ``model.safetensors`` (``epslab.runs.weights_hash``); None where there is no such file.

        Raises:
            UserError: The file is not safetensors, or is damaged.
        """
        return weights.hash_of(self.weights)

    def weights_about(self) -> dict[str, Any]:
        """The header entries of ``model.safetensors``; empty where there is no such file."""
        return weights.about(self.weights)

    def load_weights(self, model: "nn.Module") -> str:
        """Put the best weights into ``model``, on its device; returns their hash.

        Raises:
            UserError: There are none, the file is not safetensors or is damaged, or they belong to another
                architecture.
        """
        if not self.weights.exists():
            raise UserError(f"'{self.folder}' has no weights yet (model.safetensors); train it for at least one epoch.")
        return weights.load(self.weights, model)
