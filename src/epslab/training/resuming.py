"""Make a run's folder, or find the checkpoint to resume from."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from epslab.errors import UserError
from epslab.runs import Run
from epslab.training.checkpoints import KEY, AtomicCheckpoints
from epslab.training.limits import Standing


def prepare(
    run: Run,
    model: nn.Module,
    settings: Mapping[str, object],
    identity: Mapping[str, object],
    about: Mapping[str, object],
    *,
    resume: bool,
    overwrite: bool,
) -> Standing | None:
    """Make the folder, or find the checkpoint to resume from; returns its standing, or None to start.

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
    if not resume or not run.last_checkpoint.exists():
        return None
    checkpoint = AtomicCheckpoints().load_checkpoint(run.last_checkpoint)
    state = checkpoint[KEY]
    _check_identity(run, state["identity"], identity)
    _check_model(run, checkpoint["state_dict"], model)
    run.update_settings(settings)
    return _standing(run, state["standing"])


def _standing(run: Run, saved: Mapping[str, Any]) -> Standing:
    """The checkpoint's standing, corrected by the best weights on disk."""
    standing, about = Standing(**saved), run.weights_about()
    if about.get("epoch", 0) > standing.epoch:
        # The run was killed between saving better weights and the next checkpoint.
        standing.best_epoch = about["epoch"]
        standing.best_value = float("inf") if about["value"] is None else about["value"]
    return standing


def _check_identity(run: Run, saved: Mapping[str, object], now: Mapping[str, object]) -> None:
    for name, value in now.items():
        if saved.get(name, value) != value:
            raise UserError(
                f"'{run.folder}' cannot be resumed with another {name.replace('_', ' ')} ({saved[name]}"
                f" then, {value} now): resume with the settings of its config.yaml, or start again with"
                " `overwrite=True`."
            )


def _check_model(run: Run, saved: Mapping[str, Any], model: nn.Module) -> None:
    then = {name.removeprefix("model."): tensor.shape for name, tensor in saved.items()}
    now = {name: tensor.shape for name, tensor in model.state_dict().items()}
    different = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if different:
        raise UserError(
            f"'{run.folder}' cannot be resumed with another model ({len(different)} entries differ, first"
            f" '{different[0]}'): build it with the settings of its config.yaml, or start again with `overwrite=True`."
        )
