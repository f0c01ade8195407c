"""One folder per run: settings, metrics, checkpoints, weights, provenance.

A folder is a run if it holds ``config.yaml``. Everything in it is written atomically: a kill leaves the old file or the
new.
"""

import csv
import json
import math
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from epslab.errors import UserError
from epslab.files import require_space, write_atomic

if TYPE_CHECKING:
    from torch import Tensor, nn

_FILES = ("config.yaml", "metrics.csv", "timing.csv", "model.safetensors", "result.json", "last.ckpt", "best.ckpt")
_TEMPORARY = tuple(f".{name}." for name in _FILES)


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
            run._write_config(settings, {**_provenance(), **(provenance or {})})
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
        for folder in (self.folder, self.checkpoints):
            for path in folder.glob(".*"):
                if path.is_file() and path.name.startswith(_TEMPORARY):
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
        content = {**_plain(settings), "provenance": _plain(provenance)}
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
        if self.read_only:
            return
        content = {**self.result(), **_plain(entries)}
        write_atomic(self.folder / "result.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def save_weights(self, state: Mapping[str, "Tensor"], about: Mapping[str, object] | None = None) -> None:
        """Write a state dict to ``model.safetensors``; ``about`` goes into the file's header, as JSON."""
        from safetensors.torch import save

        if self.read_only:
            return
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
        # One entry: safetensors writes several in an order that differs from process to process.
        write_atomic(self.weights, save(tensors, metadata={"epslab": json.dumps(_plain(about or {}))}))

    def weights_about(self) -> dict[str, Any]:
        """The header entries of ``model.safetensors``; empty where there is no such file."""
        from safetensors import SafetensorError, safe_open

        if not self.weights.exists():
            return {}
        try:
            with safe_open(self.weights, framework="pt") as file:
                about = json.loads((file.metadata() or {}).get("epslab", "{}"))
        except (SafetensorError, json.JSONDecodeError) as error:
            raise self._broken_weights() from error
        return dict(about)

    def load_weights(self, model: "nn.Module") -> None:
        """Put the best weights into ``model``, on whatever device it is.

        Raises:
            UserError: There are none, the file is not safetensors, or they belong to another architecture.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        if not self.weights.exists():
            raise UserError(f"'{self.folder}' has no weights yet (model.safetensors); train it for at least one epoch.")
        try:
            state = load_file(self.weights)
        except SafetensorError as error:
            raise self._broken_weights() from error
        own = {name: tensor.shape for name, tensor in model.state_dict().items()}
        different = [name for name in sorted(own.keys() | state.keys()) if own.get(name) != _shape(state.get(name))]
        if different:
            name = different[0]
            given, expected = _shape(state.get(name)), own.get(name)
            raise UserError(
                f"The weights in '{self.weights}' belong to another model: {len(different)} entries differ, first"
                f" '{name}' (file: {_describe(given)}, model: {_describe(expected)}); build the model with the run's"
                " own settings (config.yaml)."
            )
        model.load_state_dict(state)

    def _broken_weights(self) -> UserError:
        return UserError(f"'{self.weights}' is not a safetensors file; train again, or restore it.")

    def require_space_for(self, tensors: Iterable["Tensor"]) -> None:
        """Check that the disk holds checkpoints of a model with these parameters.

        Raises:
            UserError: It does not.
        """
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        # A checkpoint holds weights, two Adam moments and perhaps an average: last, best and one being written, and
        # the weights file twice for the same reason.
        require_space(self.folder, 14 * weights + 10_000_000, "a run's checkpoints")


def read_table(path: Path) -> dict[str, list[float]]:
    """A CSV of numbers by column; NaN where a field is blank; no columns where there is no file.

    Raises:
        UserError: It is not a table of numbers.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        return {
            name: [float(value) if value else math.nan for value in column]
            for name, column in zip(header, zip(*rows, strict=True) if rows else [()] * len(header), strict=True)
        }
    except (ValueError, csv.Error) as error:
        raise UserError(f"'{path}' is not a table of numbers; restore it, or repeat the run.") from error


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, int | float]]) -> None:
    """Write rows as CSV, atomically; blank where a row has no such column, floats so that they read back exactly."""
    lines = [",".join(columns)]
    lines += [",".join(_number(row[name]) if name in row else "" for name in columns) for row in rows]
    write_atomic(path, "\n".join(lines) + "\n")


def _number(value: int | float) -> str:
    return "" if math.isnan(value) else repr(value)


def _shape(tensor: "Tensor | None") -> tuple[int, ...] | None:
    return None if tensor is None else tensor.shape


def _describe(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape)) or "a number"


def _empty(folder: Path, keep: set[str]) -> None:
    for path in folder.iterdir():
        if path.name in keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _plain(value: Any) -> Any:
    """The value in types that YAML and JSON know."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def _provenance() -> dict[str, object]:
    """What a run depends on beside its settings: versions, commit, command line."""
    return {
        "versions": {
            "epslab": metadata.version("epslab"),
            "torch": metadata.version("torch"),
            "lightning": metadata.version("lightning"),
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else None,
    }


def _commit() -> str | None:
    """The commit of epslab's own source, with ``+`` where files differ from it; None outside a checkout of it."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here.parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout.strip()

    try:
        # An installed copy inside someone else's repository must not take that repository's commit.
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
