"""The folder of a run: how it is made and opened, its settings, and the files in it.

A folder is a run if it holds ``config.yaml``. Everything in it is written atomically: a kill leaves the old file or the
new.
"""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from epslab.errors import UserError
from epslab.files import check_folder, require_space, write_atomic
from epslab.runs.lock import Held, lock, of_a_lock
from epslab.runs.plain import plain
from epslab.runs.provenance import provenance as provenance_of_process

if TYPE_CHECKING:
    from torch import Tensor

_FILES = (
    "config.yaml",
    "metrics.csv",
    "timing.csv",
    "examples.csv",
    "model.safetensors",
    "result.json",
    "index.json",
    "last.ckpt",
    "best.ckpt",
)
_TEMPORARY = tuple(f".{name}." for name in _FILES)
_PICTURE = re.compile(r"\..+\.png\.\w+")

R = TypeVar("R", bound="Folder")


class Folder:
    """The folder of one training run; ``Run`` adds its content.

    Args:
        folder: Where it is.
        read_only: Write nothing.
    """

    def __init__(self, folder: Path | str, *, read_only: bool = False) -> None:
        self.folder = Path(folder)
        self.read_only = read_only
        self.weights = self.folder / "model.safetensors"  #: the best weights
        self.checkpoints = self.folder / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.ckpt"  #: the whole state of training, for resuming
        self.best_checkpoint = self.checkpoints / "best.ckpt"  #: the whole state after the best epoch so far
        self.figures = self.folder / "figures"
        self.tensorboard = self.folder / "tensorboard"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    @classmethod
    def open(cls: type[R], folder: Path | str) -> R:
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
        cls: type[R],
        folder: Path | str,
        settings: Mapping[str, object],
        *,
        provenance: Mapping[str, object] | None = None,
        overwrite: bool = False,
    ) -> R:
        """A new run in ``folder``, with ``config.yaml`` written.

        Args:
            folder: Must not exist, or be empty, or be a run to ``overwrite``.
            settings: What repeats the run: top-level entries of ``config.yaml``.
            provenance: Entries in addition to versions, commit and command line, e.g. the data's checksum.
            overwrite: Empty the folder first if it is a run; any other folder is never emptied.

        Raises:
            UserError: The folder holds a run and ``overwrite`` is false, holds other things, or cannot be written.
        """
        run = cls(check_folder(folder))
        try:
            if run.exists():
                if not overwrite:
                    raise UserError(
                        f"'{folder}' already holds a run; continue it with `resume=True`, replace it with"
                        " `overwrite=True`, or choose another `out=`."
                    )
                # config.yaml stays until it is replaced, so that after a kill the folder is still a run.
                _empty(run.folder, keep={"config.yaml"})
            run.folder.mkdir(parents=True, exist_ok=True)
            run.clear_leftovers()
            others = {path.name for path in run.folder.iterdir() if not of_a_lock(path)} - {"config.yaml"}
            if others:
                raise UserError(
                    f"'{folder}' is not empty and not a run (it holds '{min(others)}'); choose another `out=`."
                )
            run._write_config(settings, {**provenance_of_process(), **(provenance or {})})
            run.make_folders()
        except OSError as error:
            raise _unwritable(folder, error) from error
        return run

    @contextmanager
    def locked(self, doing: str) -> Iterator[Held]:
        """Inside the block no other process writes to the folder; see ``epslab.runs.lock``.

        Args:
            doing: What others are told: "training".

        Raises:
            UserError: Another one does, or the folder cannot be written.
        """
        with ExitStack() as stack:
            try:
                free = self.read_only
                held = Held(self.folder) if free else stack.enter_context(lock(check_folder(self.folder), doing))
            except OSError as error:
                raise _unwritable(self.folder, error) from error
            yield held

    def exists(self) -> bool:
        """Whether the folder is a run."""
        return (self.folder / "config.yaml").is_file()

    def make_folders(self) -> None:
        """Make the subfolders."""
        for folder in (self.checkpoints, self.figures):
            folder.mkdir(exist_ok=True)

    def clear_leftovers(self) -> None:
        """Delete temporary files that a kill has left."""
        for folder in (self.folder, self.checkpoints, self.figures):
            for path in folder.glob(".*"):
                if path.is_file() and (path.name.startswith(_TEMPORARY) or _PICTURE.fullmatch(path.name)):
                    path.unlink(missing_ok=True)

    @property
    def config(self) -> dict[str, Any]:
        """The settings, and under ``provenance`` the versions, commit, command line and data.

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
        """Replace the settings in ``config.yaml``, e.g. to continue a run for more epochs."""
        if not self.read_only:
            self._write_config(settings, self.config.get("provenance", {}))

    def _write_config(self, settings: Mapping[str, object], provenance: Mapping[str, object]) -> None:
        content = {**plain(settings), "provenance": plain(provenance)}
        write_atomic(self.folder / "config.yaml", yaml.safe_dump(content, sort_keys=False, allow_unicode=True))

    def require_space_for(self, tensors: Iterable["Tensor"]) -> None:
        """Check that the disk holds checkpoints of a model with these parameters.

        Raises:
            UserError: It does not.
        """
        weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        # Three checkpoints (last, best, one being written) of weights, two Adam moments and perhaps an average; and two
        # files of weights (one being written).
        require_space(self.folder, 14 * weights + 10_000_000, "a run's checkpoints")


def _unwritable(folder: Path | str, error: OSError) -> UserError:
    return UserError(
        f"Cannot write a run to '{folder}' ({error.strerror or error}); choose an `out=` that can be written."
    )


def _empty(folder: Path, keep: set[str]) -> None:
    for path in folder.iterdir():
        if path.name in keep or of_a_lock(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
