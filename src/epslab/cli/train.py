"""Train one model by a recipe, or repeat a run, into a run folder."""

import contextlib
import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.cli import folders
from epslab.cli.configuration import load_settings
from epslab.cli.parsing import Parser, add_machine, at_least, value_of
from epslab.cli.terminal import summary
from epslab.errors import UserError, unknown

if TYPE_CHECKING:
    from epslab.runs import Run

_RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
_OUT = "EPSLAB_OUT"  # where the first process trains, for the processes it starts


def run(arguments: Sequence[str]) -> None:
    """Train as the command line and the configuration file say, and print where the run is.

    Raises:
        UserError: What was asked cannot be trained; nothing has been written.
    """
    from epslab.recipes import RECIPES

    name, words = (None, arguments) if not arguments or arguments[0].startswith("-") else (arguments[0], arguments[1:])
    if name is not None and name not in RECIPES:
        raise unknown("recipe", name, RECIPES)
    if "-h" in words or "--help" in words:
        _parser(name, RECIPES).print_help()
        return
    settings = load_settings(value_of("config", words), resumed=_resumed(words))
    name = _one_recipe(name, settings.pop("recipe", None), RECIPES)
    values = _parser(name, RECIPES).read(words, settings)
    at_least(
        1, devices=values["devices"] if isinstance(values["devices"], int) else None, num_nodes=values["num_nodes"]
    )
    first = all(int(os.environ.get(rank) or 0) == 0 for rank in _RANKS)
    values["out"] = _folder(name, values, first)
    with _silent(unless=first), _known_to_children(values["out"]):
        _train(RECIPES[name], values, progress=first)


def _train(recipe_type: type, values: Mapping[str, Any], progress: bool) -> None:
    fields = {field.name for field in dataclasses.fields(recipe_type)}
    recipe = recipe_type(**{name: value for name, value in values.items() if name in fields})
    others = {name: value for name, value in values.items() if name not in fields | {"config"}}

    from epslab import recipes

    trained = recipes.train(recipe, **others, progress=progress)
    folder = shlex.quote(str(trained.folder))
    result = trained.result()
    if progress and result.get("status") == "interrupted" and result.get("epochs", 0) < values["epochs"]:
        raise KeyboardInterrupt(f"Interrupted; `epslab train --out {folder} --resume` goes on where it stopped.")
    then = [f"epslab {verb} {folder}" for verb in recipe.verbs]
    summary(f"Trained {trained.folder}", _facts(trained), then)


def _facts(trained: "Run") -> dict[str, str]:
    """What the run came to: the best epoch and its value, the time, where the weights are."""
    timing, best = trained.timing(), trained.best()
    facts = {} if best is None else {"best epoch": best.text}
    if seconds := timing.get("seconds"):
        facts["training time"] = (
            f"{sum(seconds):,.1f} s, {timing['images_per_second'][-1]:,.0f} images/s in the last epoch"
        )
    return facts | {"weights": str(trained.weights)}


def _one_recipe(given: str | None, configured: str | None, known: Mapping[str, type]) -> str:
    if given and configured and given != configured:
        raise UserError(
            f"The configuration is of a '{configured}' run, not of '{given}': leave '{given}' out, or give another one."
        )
    name = given or configured
    if name is None:
        raise UserError(
            f"Which recipe? Type `epslab train RECIPE --data NAME`, RECIPE first and one of: {', '.join(known)}."
        )
    if name not in known:
        raise unknown("recipe", name, known)
    return name


def _resumed(words: Sequence[str]) -> Path | None:
    """The folder to resume, whose own settings stand in for those not given; None when not resuming a named one."""
    out = value_of("out", words)
    return Path(out) if out and "--resume" in words else None


def _folder(name: str, values: Mapping[str, Any], first: bool) -> Path:
    if values["out"] is not None:
        return Path(values["out"])
    if not first and _OUT in os.environ:
        return Path(os.environ[_OUT])
    if not first or values["num_nodes"] > 1:
        raise UserError("Processes that are started apart need one folder to share: give --out.")
    return folders.automatic(f"{name}-{Path(values['data']).name}", values["resume"], values["overwrite"])


@contextlib.contextmanager
def _known_to_children(out: Path) -> Iterator[None]:
    before = os.environ.get(_OUT)
    os.environ[_OUT] = str(out)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_OUT]
        else:
            os.environ[_OUT] = before


@contextlib.contextmanager
def _silent(unless: bool) -> Iterator[None]:
    """The first process of a distributed run speaks for all."""
    if unless:
        yield
    else:
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield


def _parser(name: str | None, known: Mapping[str, type]) -> Parser:
    recipes = "\n".join(
        f"  {recipe:<26}{(kind.__doc__ or '').strip().splitlines()[0]}" for recipe, kind in known.items()
    )
    parser = Parser(
        f"train {name or 'RECIPE'}",
        f"Train one model.\n\nrecipes (`epslab train RECIPE --help` adds its settings):\n{recipes}"
        if name is None
        else f"Train one model by the recipe '{name}' into a run folder.",
        f"epslab train {name or next(iter(known))} --data digits --epochs 10",
    )
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        type=str,
        default="digits",
        metavar="NAME",
        help="digits, mnist, fashion-mnist, cifar10, or a folder with one folder of images a class",
    )
    group.add_argument(
        "--data_root",
        type=str | None,
        metavar="DIR",
        help="where data sets lie; without it EPSLAB_DATA, then the platform's cache folder",
    )
    group = parser.add_argument_group("run")
    group.add_argument(
        "--out",
        type=str | None,
        metavar="DIR",
        help=f"run folder; without it runs/{name or 'RECIPE'}-DATA, numbered where that exists",
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="of all randomness: same seed, same numbers")
    group.add_argument("--resume", action="store_true", help="go on from the run folder's last checkpoint")
    group.add_argument("--overwrite", action="store_true", help="delete what the run folder holds, first")
    group.add_argument(
        "--config",
        type=str | None,
        metavar="FILE",
        help="a run folder or its config.yaml: repeats that run; flags given beside it override it",
    )
    add_machine(parser, many=True)
    if name is not None:
        parser.add_class_arguments(known[name])
    return parser
