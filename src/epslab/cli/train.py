"""Train one model by a recipe, or repeat a run, into a run folder."""

import contextlib
import dataclasses
import io
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.cli import folders
from epslab.cli.configuration import Configuration, load_configuration
from epslab.cli.flags import TrainingData
from epslab.cli.parsing import Parser, value_of
from epslab.cli.terminal import summary
from epslab.errors import UserError
from epslab.training import Machine

if TYPE_CHECKING:
    from epslab.recipes import TrainingSettings
    from epslab.runs import Run
    from epslab.training.changes import Change

_OUT = "EPSLAB_OUT"  # where the first process trains, for the processes it starts


def run(arguments: Sequence[str]) -> None:
    """Train as the command line and the configuration file say, and print where the run is.

    Raises:
        UserError: What was asked cannot be trained; nothing has been written.
    """
    from epslab.recipes import RECIPES

    name, words = (None, arguments) if not arguments or arguments[0].startswith("-") else (arguments[0], arguments[1:])
    if "-h" in words or "--help" in words:
        _parser(name).print_help()
        return
    if name is not None:
        RECIPES.path(name)  # an unknown name is refused before any file is read
    configuration = load_configuration(value_of("config", words), resumed=_resumed(words))
    name = _one_recipe(name, configuration.settings.get("recipe"))
    values = _parser(name).read(words, _settings(name, configuration))
    first = folders.first_process()
    values["machine"] = Machine(**{field.name: values.pop(field.name) for field in dataclasses.fields(Machine)})
    values["out"] = _folder(name, values, first)
    os.environ[_OUT] = str(values["out"])
    try:
        # The first process of a distributed run speaks for all.
        with contextlib.nullcontext() if first else contextlib.redirect_stdout(io.StringIO()):
            _train(RECIPES[name], values, configuration.overridden(words), progress=first)
    finally:
        del os.environ[_OUT]


def _settings(name: str, configuration: Configuration) -> dict[str, Any]:
    """What the configuration says, in the types of the flags.

    Raises:
        UserError: It has an unknown key or a value of another type.
    """
    from epslab.recipes import RECIPES
    from epslab.recipes.stored import RUN, read_settings, types_of

    where = {"out": str | None, "resume": bool, "overwrite": bool}
    settings = read_settings(configuration.settings, {**RUN, **where, **types_of(RECIPES[name])}, configuration.file)
    return {key: value for key, value in settings.items() if key != "recipe"}


def _train(
    kind: type["TrainingSettings"], values: Mapping[str, Any], history: Sequence["Change"], *, progress: bool
) -> None:
    from epslab import recipes
    from epslab.runs import Run

    settings = kind(**{field.name: values[field.name] for field in dataclasses.fields(kind)})
    arguments = ("data", "data_root", "out", "seed", "resume", "overwrite", "machine")
    earlier, folder = _finished(values), shlex.quote(str(values["out"]))
    resume = f"epslab train --out {folder} --resume"
    try:
        trained = recipes.train(
            settings, **{name: values[name] for name in arguments}, history=history, progress=progress
        )
    except KeyboardInterrupt as interrupt:
        if str(interrupt) or not Run(values["out"]).last_checkpoint.exists():
            raise
        raise KeyboardInterrupt(f"Interrupted at once; `{resume}` goes on from the last checkpoint.") from None
    result = trained.result()
    if progress and result.get("status") == "interrupted" and result.get("epochs", 0) < values["epochs"]:
        raise KeyboardInterrupt(f"Interrupted; `{resume}` goes on where it stopped.")
    if earlier is not None and result.get("steps") == earlier:
        if trained.last_checkpoint.exists():
            print(f"`{resume} --epochs N` with a larger N trains on.")
        return
    sampled = trained.weights.exists() and recipes.draws(trained)
    verbs = ["evaluate", *["attack"] * kind.classifies, *["sample"] * sampled, "report"]
    summary(f"Trained {trained.folder}", _facts(trained), [f"epslab {verb} {folder}" for verb in verbs])


def _finished(values: Mapping[str, Any]) -> int | None:
    """The steps of the run that is to be resumed, if it is finished."""
    from epslab.runs import Run

    result = Run(values["out"]).result() if values["resume"] else {}
    return result.get("steps") if result.get("status") == "finished" else None


def _facts(trained: "Run") -> dict[str, str]:
    """What the run came to: the best epoch and its value, the time, where the weights are."""
    timing, best = trained.timing(), trained.best()
    facts = {} if best is None else {"best epoch": best.text}
    if seconds := timing.get("seconds"):
        noun = next(name for name in timing if name.endswith("_per_second")).removesuffix("_per_second")
        rate = timing[f"{noun}_per_second"][-1]
        from epslab.runs import number

        facts["training time"] = f"{number(sum(seconds))} s, {number(rate)} {noun}/s in the last epoch"
    return facts | {"weights": str(trained.weights)}


def _one_recipe(given: str | None, configured: Any) -> str:
    from epslab.recipes import RECIPES

    if given and configured and given != configured:
        raise UserError(
            f"The configuration is of a '{configured}' run, not of '{given}': leave '{given}' out, or give another one."
        )
    name = given or configured
    if name is not None and not isinstance(name, str):
        raise UserError(f"The configuration's recipe is {name}, but must be a name; one of: {', '.join(RECIPES)}.")
    if name is None:
        raise UserError(
            f"Which recipe? Type `epslab train RECIPE --data NAME`, RECIPE first and one of: {', '.join(RECIPES)}."
        )
    return name


def _resumed(words: Sequence[str]) -> Path | None:
    """The folder to resume: its settings replace the defaults. None without --resume or --out."""
    out = value_of("out", words)
    return Path(out) if out and "--resume" in words else None


def _folder(name: str, values: Mapping[str, Any], first: bool) -> Path:
    if values["out"] is not None:
        return Path(values["out"])
    if not first and _OUT in os.environ:
        return Path(os.environ[_OUT])
    if not first or values["machine"].nodes > 1:
        raise UserError("Processes that are started separately need one folder to share: give --out.")
    base = f"{name.rpartition(':')[2]}-{Path(values['data']).name}"
    return folders.automatic(base, values["resume"], values["overwrite"])


def _parser(name: str | None) -> Parser:
    from epslab.recipes import RECIPES

    listed = "\n".join(f"  {recipe:<26}{RECIPES.summary(recipe)}" for recipe in RECIPES)
    parser = Parser(
        f"train {name or 'RECIPE'}",
        "Train one model by a recipe; your own is package.module:Settings.\n\n"
        f"recipes (`epslab train RECIPE --help` adds its settings):\n{listed}"
        if name is None
        else f"Train one model by the recipe '{name}' into a run folder.",
        f"epslab train {name or 'vae'} --data digits --epochs 10",
    )
    parser.add_class_arguments(TrainingData)
    group = parser.add_argument_group("Run")
    out = f"run folder (default: runs/{name or 'RECIPE'}-DATA, numbered where that exists)"
    group.add_argument("--out", type=str | None, metavar="DIR", help=out)
    group.add_argument("--resume", action="store_true", help="go on from the run folder's last checkpoint")
    group.add_argument("--overwrite", action="store_true", help="first delete what the run folder holds")
    config = "a run folder or its config.yaml: repeats that run; flags on the command line override it"
    group.add_argument("--config", type=str | None, metavar="FILE", help=config)
    parser.add_class_arguments(Machine)
    if name is not None:
        parser.add_class_arguments(RECIPES[name])
    return parser
