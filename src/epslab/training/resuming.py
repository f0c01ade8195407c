"""Make a run's folder, or find the checkpoint to resume from."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from epslab.errors import UserError
from epslab.runs import Run
from epslab.training.changes import require_same, resettled
from epslab.training.checkpoints import KEY, AtomicCheckpoints
from epslab.training.limits import Standing
from epslab.training.settings import Settings

_DATA = {"train": "training", "validation": "validation"}


def prepare(
    run: Run,
    model: nn.Module,
    settings: Mapping[str, object],
    identity: Mapping[str, object],
    about: Mapping[str, object],
    asked: Settings,
    examples: int,
    *,
    resume: bool,
    overwrite: bool,
) -> Standing | None:
    """Make the folder, or find the checkpoint to resume from; returns its standing, or None to start.

    Args:
        run: The folder.
        model: The untrained model.
        settings: The settings of ``config.yaml``; of a run that goes on, a few may have changed.
        identity: What must be the same.
        about: Provenance of a new run.
        asked: When training is complete.
        examples: Of the training set.
        resume: Go on with the run that is there, if there is one.
        overwrite: Replace it.

    Raises:
        UserError: The folder cannot be used, or its run is another one.
    """
    if resume and overwrite:
        raise UserError("resume and overwrite exclude each other: continue the run, or replace it.")
    run.require_space_for(model.parameters())
    if not run.read_only and not (resume and run.exists()):
        Run.create(run.folder, settings, provenance=about, overwrite=overwrite)
        return None
    if resume and not run.read_only:
        run.clear_leftovers()
        run.make_folders()
    if not resume or not run.exists():  # the first process is just making the folder
        return None
    require_same(run, settings)
    standing = None
    if run.last_checkpoint.exists():
        checkpoint = AtomicCheckpoints().load_checkpoint(run.last_checkpoint)
        _check_identity(run, checkpoint[KEY]["identity"], identity)
        _check_model(run, checkpoint["state_dict"], model)
        standing = _standing(run, checkpoint[KEY]["standing"])
    elif run.result().get("status") == "finished" and run.weights.exists():
        standing = _finished(run, asked)
    settled = resettled(run, settings, standing, -(-examples // asked.batch_size))
    if standing is None or not asked.reached(standing):
        run.update_settings(settled)
    return standing


def _standing(run: Run, saved: Mapping[str, Any]) -> Standing:
    """The checkpoint's standing, corrected by the best weights on disk."""
    standing, about = Standing(**saved), run.weights_about()
    if about.get("epoch", 0) > standing.epoch:
        # The run was killed between saving better weights and the next checkpoint.
        standing.best_epoch = about["epoch"]
        standing.best_value = float("inf") if about["value"] is None else about["value"]
    return standing


def _finished(run: Run, asked: Settings) -> Standing:
    """Where a finished run stands whose checkpoints have been deleted.

    Raises:
        UserError: It is to be trained on, which needs them.
    """
    result = run.result()
    best = result.get("best_value")
    standing = Standing(
        epoch=result.get("epochs", run.epochs),
        step=result.get("steps", 0),
        best_epoch=result.get("best_epoch") or 0,
        best_value=float("inf") if best is None else best,
    )
    if not asked.reached(standing):
        raise UserError(
            f"'{run.folder}' is finished and its checkpoints have been deleted, as a study does at its end and"
            " `epslab runs --clean` does: it cannot be trained for more epochs; train it again with `overwrite=True`,"
            " or into another `out=`."
        )
    return standing


def _check_identity(run: Run, saved: Mapping[str, object], now: Mapping[str, object]) -> None:
    for name, value in now.items():
        if saved.get(name, value) == value:
            continue
        if name in _DATA:
            raise UserError(
                f"'{run.folder}' cannot be resumed with other {_DATA[name]} data ({_short(saved[name])} then,"
                f" {_short(value)} now): give the same examples in the same order, made with the same generator, or"
                " start again with `overwrite=True`."
            )
        raise UserError(
            f"'{run.folder}' cannot be resumed with another {name.replace('_', ' ')} ({saved[name]} then, {value} now):"
            " resume with the settings of its config.yaml, or start again with `overwrite=True`."
        )


def _short(checksum: object) -> str:
    """Enough of a checksum to tell it from another."""
    return str(checksum)[:15]


def _check_model(run: Run, saved: Mapping[str, Any], model: nn.Module) -> None:
    then = {name.removeprefix("model."): tensor.shape for name, tensor in saved.items()}
    now = {name: tensor.shape for name, tensor in model.state_dict().items()}
    different = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if different:
        raise UserError(
            f"'{run.folder}' cannot be resumed with another model ({len(different)} entries differ, first"
            f" '{different[0]}'): build it with the settings of its config.yaml, or start again with `overwrite=True`."
        )
