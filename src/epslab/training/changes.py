"""What may change when a run is resumed, and how ``config.yaml`` remembers it.

Its settings are those in force at the end. Under ``changes`` stands what was different before, with the epoch at which
it was changed, so that the run can be repeated as it was.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from epslab.errors import UserError
from epslab.runs import Run
from epslab.runs.plain import plain
from epslab.training.limits import Standing
from epslab.training.machine import Machine

LENGTHS = ("epochs", "max_steps")
"""May become more; or less, as long as that is not yet trained."""
MACHINE = (*(field.name for field in fields(Machine)), "checkpoint_minutes")
PLACES = ("data_root",)
"""Where things lie: not worth a record."""
CHANGES, TO_COME = "changes", "repeats"


@dataclass(frozen=True)
class Change:
    """Settings that were changed when a run was resumed.

    Args:
        epoch: Epochs that were complete then.
        batch: Batches of the next epoch that were done then.
        before: The settings that changed, as they had been.
        after: As they were from then on.
    """

    epoch: int
    batch: int
    before: Mapping[str, Any]
    after: Mapping[str, Any]

    def without(self, names: Sequence[str]) -> "Change":
        """The change of the other settings."""
        kept = [{k: v for k, v in part.items() if k not in names} for part in (self.before, self.after)]
        return Change(self.epoch, self.batch, *kept)


def history(config: Mapping[str, Any], where: str) -> list[Change]:
    """The changes that a configuration records, and those that the run it repeats had later.

    Args:
        config: The content of ``config.yaml``.
        where: Its name, for the error.

    Raises:
        UserError: They are not as ``fit`` writes them.
    """
    done, to_come = config.get(CHANGES) or [], config.get(TO_COME) or []
    try:
        return [_read(change) for change in [*done, *to_come[len(done) :]]]
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(
            f"'{CHANGES}' in '{where}' is not as epslab writes it; remove it to train with the last settings from the"
            " start."
        ) from error


def _read(change: Mapping[str, Any]) -> Change:
    return Change(int(change["epoch"]), int(change["batch"]), dict(change["before"]), dict(change["after"]))


def require_same(run: Run, asked: Mapping[str, object]) -> None:
    """Make sure that a run is resumed with its own settings, but for those that may change.

    Raises:
        UserError: Another setting is different.
    """
    saved, free = run.config, (*LENGTHS, *MACHINE, *PLACES)
    different = {name: now for name, (_, now) in _differences(saved, asked).items() if name not in free}
    if different:
        listed = " and ".join(
            f"another {name.replace('_', ' ')} ({saved[name]} then, {value} now)" for name, value in different.items()
        )
        raise UserError(
            f"'{run.folder}' cannot be resumed with {listed}: only `epochs=` and the machine may change. Resume with"
            " the settings of its config.yaml, or train a new run into another `out=`."
        )


def resettled(
    run: Run, asked: Mapping[str, object], standing: Standing | None, steps_per_epoch: int
) -> dict[str, object]:
    """The content of ``config.yaml`` for a run that goes on with these settings, its changes recorded.

    Args:
        run: The run.
        asked: The settings asked for now.
        standing: How far it is; None: nothing is trained yet.
        steps_per_epoch: Batches of a whole epoch.

    Raises:
        UserError: Fewer epochs are asked for than are trained.
    """
    saved = run.config
    done = list(saved.get(CHANGES) or [])
    if standing is not None:
        epoch, batch = standing.epoch, max(0, standing.step - standing.epoch * steps_per_epoch)
        _require_room(run, asked, epoch + (batch > 0), standing.step)
        found = {name: pair for name, pair in _differences(saved, asked).items() if name not in PLACES}
        if found:
            before, after = ({name: pair[i] for name, pair in found.items()} for i in (0, 1))
            done.append(asdict(Change(epoch, batch, before, after)))
    return {**asked, **({CHANGES: done} if done else {})}


def _differences(saved: Mapping[str, Any], asked: Mapping[str, object]) -> dict[str, tuple[Any, Any]]:
    """The settings that differ: as they were saved, as they are asked for now."""
    now = plain(asked)
    shared = [name for name in now if name in saved and name != TO_COME]
    return {name: (saved[name], now[name]) for name in shared if saved[name] != now[name]}


def _require_room(run: Run, asked: Mapping[str, Any], epochs: int, steps: int) -> None:
    for name, done in (("epochs", epochs), ("max_steps", steps)):
        wanted = asked.get(name)
        if isinstance(wanted, int) and wanted < done:
            raise UserError(
                f"'{run.folder}' has trained {done} {name.removeprefix('max_')} already, more than `{name}={wanted}`;"
                " leave that out, or ask for more."
            )


def legs(settings: Mapping[str, Any], changes: Sequence[Change]) -> list[dict[str, Any]]:
    """The settings in force before each change, and those after the last, which are given."""
    made = [dict(settings)]
    for change in reversed(changes):
        made.insert(0, {**made[0], **change.before})
    return made
