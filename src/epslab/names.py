"""Names the user types, and what they stand for: built in, brought by an installed package, or an import path.

A built-in name stands for ``"module:attribute"``, which is imported when it is used. An installed package brings names
through entry points, in its ``pyproject.toml``::

    [project.entry-points."epslab.recipes"]
    toy-gan = "toys.gan:plan"

And ``package.module:name`` is found wherever Python finds modules, and in the working folder.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from epslab.errors import UserError, unknown

_TORCHVISION = "this torchvision was built for another torch: install the two together, of one kind and from one index"


class UnknownNameError(UserError, KeyError):
    """A name that stands for nothing; a ``KeyError`` too, as a mapping's ``get`` expects."""

    __str__ = Exception.__str__  # KeyError would put the sentence in quotes


class Names(Mapping[str, Any]):
    """A lazy mapping from the names of one group to what they stand for.

    Iteration gives the built-in names, then those of entry points; nothing is imported before it is asked for.
    ``names[...]`` takes import paths as well; it raises a ``UserError`` where a name is unknown (with the nearest
    known one), where two packages bring the same name, and where the module cannot be imported.

    >>> shapes = Names("epslab.shapes", {"counter": "collections:Counter"})
    >>> list(shapes), shapes["counter"]("aab")["a"], shapes["collections:OrderedDict"].__name__
    (['counter'], 2, 'OrderedDict')

    Args:
        group: The group of entry points, e.g. "epslab.attacks".
        builtin: Name to "module:attribute".
        kind: What the error sentences call one of them, e.g. "attack"; by default the group's last word without an s.
    """

    def __init__(self, group: str, builtin: Mapping[str, str], kind: str = "") -> None:
        self.group = group
        self.builtin = dict(builtin)
        self.kind = kind or group.rpartition(".")[2].removesuffix("s")

    def __repr__(self) -> str:
        return f"Names({self.group!r}: {', '.join(self)})"

    def __iter__(self) -> Iterator[str]:
        yield from self.builtin
        yield from self._brought()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        """Whether this is a name of the group, or has the form of an import path; nothing is imported."""
        return isinstance(name, str) and (name in self.builtin or is_path(name) or name in self._brought())

    def __getitem__(self, name: str) -> Any:
        return self.load(self.path(name), name)

    def path(self, name: str) -> str:
        """The import path that a name stands for, "module:attribute".

        Raises:
            UserError: The name is unknown, or two packages bring it.
        """
        if name in self.builtin:
            return self.builtin[name]
        if is_path(name):
            return name
        found = self._brought().get(name, [])
        if len(found) > 1:
            both = " and ".join(f"'{_package(point)}'" for point in found[:2])
            raise UserError(f"The {self.kind} '{name}' comes from {both}; uninstall one, or write package.module:name.")
        if not found:
            raise UnknownNameError(str(unknown(self.kind, name, self)))
        return found[0].value

    def origin(self, name: str) -> str:
        """The package that brings this name through an entry point, e.g. "toys 1.0"; "" for every other name."""
        found = [] if name in self.builtin else self._brought().get(name, [])
        return _package(found[0]) if found else ""

    def load(self, path: str, name: str) -> Any:
        """What lies at an import path, for the sake of this name: the sentence of an error says who brought it."""
        if not (package := self.origin(name)):
            return imported(path)
        try:
            return imported(path)
        except UserError as error:
            sentence = str(error).rstrip(".").partition(";")[0]
            raise UserError(
                f"The {self.kind} '{name}' of the package '{package}' cannot be used: {sentence}; mend or uninstall it."
            ) from error

    def _brought(self) -> dict[str, list[EntryPoint]]:
        """The entry points by name, without those that would hide a built-in name; one package counts once."""
        points: dict[str, list[EntryPoint]] = {}
        for point in sorted(entry_points(group=self.group), key=lambda point: point.name):
            known = points.setdefault(point.name, []) if point.name not in self.builtin else None
            if known is not None and all(point.value != other.value for other in known):
                known.append(point)
        return points


def is_path(name: str) -> bool:
    """Whether a name has the form ``package.module:name``."""
    module, colon, attribute = name.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *attribute.split(".")))


def imported(path: str) -> Any:
    """What an import path ``package.module:name`` names; modules of the working folder are found too.

    Raises:
        UserError: It is no import path, the module cannot be imported, or it has no such name.
    """
    module_name, _, name = path.partition(":")
    if not is_path(path):
        raise UserError(f"'{path}' is no import path; write package.module:name, e.g. my_models:resnet.")
    try:
        with importable_from_here():
            thing: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise UserError(f"'{module_name}' needs '{error.name}', which is not installed; install it.") from error
        raise UserError(
            f"There is no module '{error.name}' here or among the installed packages; check the path, or go to the"
            " folder it lies in."
        ) from error
    except Exception as error:
        way_out = _TORCHVISION if "torchvision::" in str(error) else "mend it first"
        raise UserError(f"'{module_name}' cannot be imported ({cause(error)}); {way_out}.") from error
    for part in name.split("."):
        if not hasattr(thing, part):
            known = sorted(key for key, value in vars(thing).items() if callable(value) and not key.startswith("_"))
            listed = f"; it has {', '.join(known[:8])}{', …' if len(known) > 8 else ''}" if known else ""
            raise UserError(f"'{module_name}' has no '{name}'{listed}: write package.module:name.")
        thing = getattr(thing, part)
    return thing


@contextmanager
def importable_from_here() -> Iterator[None]:
    """Let imports find the modules of the working folder, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def cause(error: Exception) -> str:
    """An exception's type and the first line it says."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:200]}" if first else type(error).__name__


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value
