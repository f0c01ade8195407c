"""Checkpoints: whole training states, written atomically and read with tensors and plain values only."""

import os
import pickle
import shutil
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from epslab.errors import UserError
from epslab.files import writing
from epslab.lightning import CheckpointIO
from epslab.runs import Run

KEY = "epslab"
"""The entry of a checkpoint that holds epslab's own state."""


class AtomicCheckpoints(CheckpointIO):
    """Lightning's reader and writer of checkpoints: after a kill at any moment a file is complete or absent."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write the file atomically."""
        with writing(Path(path)) as file:
            torch.save(checkpoint, file)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """What a checkpoint holds, on the CPU.

        Raises:
            UserError: The file is no checkpoint of epslab's, is damaged, or holds other things than tensors and plain
                values: such a pickle could run any code, so it is not opened.
        """
        way_out = "restore the file, or start again with `overwrite=True`"
        try:
            # Torch would also read bare pickles, which epslab never writes, and does not check the checksums.
            with zipfile.ZipFile(path) as archive:
                if (damaged := archive.testzip()) is not None:
                    raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
            with warnings.catch_warnings():
                # Torch warns about foreign pickles before it refuses them; the error is enough.
                warnings.simplefilter("ignore", UserWarning)
                checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise UserError(
                f"'{path}' is not a checkpoint that can be trusted: it holds other things than tensors and plain values"
                f" and was not opened; {way_out}."
            ) from error
        except Exception as error:  # a damaged file can fail in any way
            raise UserError(f"'{path}' is not a checkpoint, or is damaged; {way_out}.") from error
        if not isinstance(checkpoint, dict) or KEY not in checkpoint or "state_dict" not in checkpoint:
            raise UserError(f"'{path}' is not a checkpoint of epslab's; {way_out}.")
        return checkpoint

    def remove_checkpoint(self, path: str | Path) -> None:
        """Delete the file, if it is there."""
        Path(path).unlink(missing_ok=True)


def mark_best(run: Run) -> None:
    """Make the last checkpoint the best one too: by a link, which takes no time or space."""
    temporary = run.checkpoints / ".best.ckpt.link"
    temporary.unlink(missing_ok=True)
    try:
        os.link(run.last_checkpoint, temporary)
    except OSError:  # a file system without links
        shutil.copyfile(run.last_checkpoint, temporary)
    temporary.replace(run.best_checkpoint)
