"""A run's curves: ``metrics.csv``, ``timing.csv`` and TensorBoard events."""

import time
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from epslab.runs import Run, write_table
from epslab.training.limits import Standing


class Curves:
    """Writes the curves of a run, one row per epoch, and drops the rows that a resumed run will write again.

    TensorBoard shows the columns of both tables under the same names, over the number of batches trained on.

    Args:
        run: Where they are written.
        standing: What the run resumes from; later rows and events are dropped. None: all are.
    """

    def __init__(self, run: Run, standing: Standing | None = None) -> None:
        epoch, step = (standing.epoch, standing.step) if standing else (-1, -1)
        self._run = run
        self._rows = {
            name: _rows(table, epoch) for name, table in (("metrics", run.metrics()), ("timing", run.timing()))
        }
        self._writer = _last_writer(run.tensorboard, step + 1)

    def add(
        self, epoch: int, step: int, metrics: Mapping[str, float], timing: Mapping[str, float] | None = None
    ) -> None:
        """Add an epoch's row to ``metrics.csv`` and, if given, to ``timing.csv``."""
        for name, values in (("metrics", metrics), ("timing", timing or {})):
            if values:
                self._rows[name].append({"epoch": epoch, **values})
                rows = self._rows[name]
                columns = sorted({column for row in rows for column in row}, key=_place)
                write_table(self._run.folder / f"{name}.csv", columns, rows)
        for tag, value in {**metrics, **{f"timing/{name}": value for name, value in (timing or {}).items()}}.items():
            self._writer.add_scalar(tag, value, step)
        self._writer.flush()

    def add_steps(self, step: int, losses: Mapping[str, float]) -> None:
        """Add points within an epoch: ``train/loss_step``, the mean loss of this process's last few batches."""
        for tag, value in losses.items():
            self._writer.add_scalar(tag, value, step)

    def flush(self) -> None:
        """Write all events to disk."""
        self._writer.flush()

    def close(self) -> None:
        """Write all events to disk and end."""
        self._writer.close()


def _last_writer(folder: Path, purge_step: int) -> SummaryWriter:
    """A writer whose file comes after all others in TensorBoard's order.

    TensorBoard reads files by name. A name begins with the second at which the file was opened and ends with a count:
    within one second, file 10 would be read before file 9.
    """
    while True:
        earlier = set(folder.glob("events.*"))
        writer = SummaryWriter(str(folder), purge_step=purge_step)
        new = set(folder.glob("events.*")) - earlier
        if max(earlier | new) in new:
            return writer
        writer.close()
        for path in new:
            path.unlink()
        time.sleep(0.2)


def _place(column: str) -> tuple[bool, str, bool, str]:
    """The order of columns: the epoch, training, validation; within them the loss first."""
    stage, _, name = column.rpartition("/")
    return column != "epoch", stage, name != "loss", name


def _rows(table: Mapping[str, list[float]], epoch: int) -> list[dict[str, int | float]]:
    """Rows up to this epoch, without their blanks."""
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    return [
        {name: int(value) if name == "epoch" else value for name, value in row.items() if value == value}
        for row in rows
        if row["epoch"] <= epoch
    ]
