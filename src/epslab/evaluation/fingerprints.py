"""Descriptions of models and attacks that are the same in every process, so that a resume can compare them.

Models, attacks and functions are described by everything that can change their answers: weights and buffers, plain
attributes, and code with its constants, defaults, enclosed variables and the globals it uses. What comes with Python,
torch or epslab is described by its name. Where something has no description (a lock, an open file), the evaluation
cannot be resumed, because a change in it would go unnoticed.
"""

import enum
import functools
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

_CHUNK = 1 << 26
_INSTALLED = {*sys.stdlib_module_names, "torch", "numpy", "epslab"} - {"__main__"}
"""Packages whose functions and classes are known by their names."""
_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, type(...), range, slice, PurePath,
    torch.dtype, torch.device, torch.layout, torch.memory_format,
)  # fmt: skip
_OF_EVERY_MODULE = {*vars(nn.Module()), "_is_torch_compile", "_compile_kwargs", "_compiled_call_impl"}
_OF_EVERY_CLASS = {
    "__module__", "__qualname__", "__dict__", "__weakref__", "__doc__", "__annotations__", "__annotate__",
    "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__", "__abstractmethods__",
    "_abc_impl", "__dataclass_fields__", "__dataclass_params__", "__match_args__", "__parameters__", "__orig_bases__",
}  # fmt: skip
_OF_EVERY_DATACLASS = {"__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__replace__"}


class Fingerprint(NamedTuple):
    """A description, and what could not be described."""

    words: str
    unknown: str | None  #: the type of the first part that has no description; None: everything has one


def fingerprint(value: Any) -> Fingerprint:
    """Describe an attack, a ball, a goal or a model.

    Attacks and other settings are written with their fields; modules, functions and other objects with their names and
    a digest of all that they hold.
    """
    describing = _Describing()
    try:
        words = describing(value)
    except RecursionError:
        return Fingerprint(_name(type(value)), f"{_name(type(value))}, nested too deeply")
    return Fingerprint(words, next(iter(describing.unknown), None))


def describe(value: Any) -> str:
    """The words of ``fingerprint``."""
    return fingerprint(value).words


def of_tensor(tensor: Tensor) -> str:
    """Type, shape and a digest of the values, on whatever device they are."""
    digest = hashlib.blake2b(digest_size=16)
    flat = tensor.detach().contiguous().view(-1)
    for first in range(0, len(flat), _CHUNK):
        part = flat[first : first + _CHUNK]
        digest.update(part.cpu().view(torch.uint8).numpy().tobytes())
    return f"{str(tensor.dtype).removeprefix('torch.')}{list(tensor.shape)} {digest.hexdigest()}"


class _Describing:
    """One description in the making.

    Settings and containers are written out wherever they occur. A module, a function, a class or any other object is
    written out once and numbered, and is its number from then on: objects may refer to each other in circles.
    """

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._met: dict[int, int] = {}
        self._within: list[int] = []
        self._alive: list[Any] = []  # an id is an object's own only as long as the object lives

    def __call__(self, value: Any) -> str:
        if isinstance(value, enum.Enum):
            return f"{_name(type(value))}.{value.name}({self(value.value)})"
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, Tensor):
            return of_tensor(value)
        if id(value) in self._within:
            return f"^{len(self._within) - self._within.index(id(value))}"
        self._within.append(id(value))
        self._alive.append(value)
        try:
            return self._container(value) or self._settings(value) or self._object(value)
        finally:
            self._within.pop()

    def _container(self, value: Any) -> str | None:
        match value:
            case Mapping():
                return f"{{{', '.join(sorted(f'{self(key)}: {self(part)}' for key, part in value.items()))}}}"
            case list() | tuple():
                return f"({', '.join(map(self, value))})"
            case set() | frozenset():  # in an order that differs from process to process
                return f"{{{', '.join(sorted(map(self._apart, value)))}}}"
            case functools.partial():
                return self((value.func, value.args, value.keywords))
            case MethodType():
                return f"{self(value.__self__)}.{value.__name__}{_digest([self(value.__func__)])}"
            case property():
                return self((value.fget, value.fset))
            case staticmethod() | classmethod():
                return self(value.__func__)
            case functools.cached_property():
                return self(value.func)
            case CodeType():
                return self._code(value)
            case ModuleType():
                return value.__name__
            case Generator():
                return f"Generator {of_tensor(value.get_state())}"
        return None

    def _settings(self, value: Any) -> str | None:
        """A dataclass with its fields and other attributes, and a digest of its code unless that is installed."""
        kind = type(value)
        if "__dataclass_fields__" not in vars(kind):
            return None
        fields = {name: getattr(value, name) for name in kind.__dataclass_fields__ if hasattr(value, name)}
        held = _lasting(kind, fields | getattr(value, "__dict__", {}))
        words = ", ".join(f"{name}={self(part)}" for name, part in held.items())
        return f"{_name(kind)}({words}){'' if _is_installed(kind) else _digest([self(kind)])}"

    def _object(self, value: Any) -> str:
        """What may take part in a circle: in full once."""
        if id(value) in self._met:
            return f"#{self._met[id(value)]}"
        self._met[id(value)] = len(self._met)
        if isinstance(value, nn.Module):
            return self._module(value)
        if isinstance(value, type):
            return _name(value) if _is_installed(value) else f"{_name(value)}{_digest([self._class(value)])}"
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, BuiltinFunctionType):
            owner = value.__self__
            return f"{_name(value) if owner is None or isinstance(owner, ModuleType) else self(owner)}.{value.__name__}"
        if callable(wrapped := getattr(value, "__wrapped__", None)):  # functools.cache
            return self(wrapped)
        return self._pickled(value)

    def _module(self, module: nn.Module) -> str:
        """The class, and a digest of weights, statistics, submodules, hooks and plain attributes; not of the mode."""
        if isinstance(compiled := module._modules.get("_orig_mod"), nn.Module):  # torch.compile's wrapper
            return self(compiled)
        held = _lasting(type(module), vars(module))
        own = {name: part for name, part in held.items() if name not in _OF_EVERY_MODULE}
        hooks = [list(vars(module)[name].values()) for name in ("_forward_pre_hooks", "_forward_hooks")]
        parts = (type(module), module._parameters, module._buffers, own, hooks, *module._modules.items())
        return f"{_name(type(module))}{_digest(map(self, parts))}"

    def _function(self, function: FunctionType) -> str:
        """Its name, and a digest of code, defaults, enclosed variables and the globals it uses."""
        if _is_installed(function):
            return f"{_name(function)}()"
        if inspect.unwrap(function) is not function and _named(function) is function:
            function = inspect.unwrap(function)  # what its decorators enclose is left out: counters, caches
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        enclosed = {name: cell.cell_contents for name, cell in cells if cell != CellType()}  # but those without a value
        held = (function.__code__, function.__defaults__, function.__kwdefaults__, enclosed, _globals(function))
        return f"{_name(function)}{_digest(map(self, held))}"

    def _class(self, kind: type) -> str:
        """What the class and those of its bases define that are not installed."""
        skipped = _OF_EVERY_CLASS | (_OF_EVERY_DATACLASS if "__dataclass_fields__" in vars(kind) else set())
        slots = MemberDescriptorType | GetSetDescriptorType
        own = {key: part for key, part in vars(kind).items() if key not in skipped and not isinstance(part, slots)}
        return self((own, kind.__bases__))

    def _code(self, code: CodeType) -> str:
        """The instructions, their constants and names; not where they stand in a file, nor what documents them."""
        documented = isinstance(code.co_consts[:1] and code.co_consts[0], str)
        constants = code.co_consts[1:] if documented else code.co_consts
        return f"{code.co_code.hex()} {self(constants)} {self(code.co_names)} {self(code.co_freevars)}"

    def _pickled(self, value: Any) -> str:
        """An object by what it would be pickled as: its class and its state."""
        kind = type(value)
        try:
            reduced = value.__reduce_ex__(2)
        except Exception:  # whatever its own method raises: there is no description
            self.unknown.append(_name(kind))
            return f"{_name(kind)}?"
        if isinstance(reduced, str):
            return f"{_name(kind)} {reduced}"
        make, arguments, *state = reduced
        held = [list(part) if isinstance(part, Iterator) else part for part in state]
        held = [_lasting(kind, part) if isinstance(part, dict) else part for part in held]
        return f"{_name(kind)}{_digest(map(self, (make, arguments, held)))}"

    def _apart(self, value: Any) -> str:
        """As if it were met next, whatever is met before it."""
        before = dict(self._met)
        try:
            return self(value)
        finally:
            self._met = before


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)} {part}".encode())
    return f" {digest.hexdigest()}"


def _lasting(kind: type, attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes but for cached properties, which are computed from the others."""
    return {
        name: part
        for name, part in attributes.items()
        if not isinstance(inspect.getattr_static(kind, str(name), None), functools.cached_property)
    }


def _globals(function: FunctionType) -> dict[str, Any]:
    """The globals that a function and those within it name."""
    names: set[str] = set()
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
    return {name: function.__globals__[name] for name in sorted(names) if name in function.__globals__}


def _is_installed(value: Any) -> bool:
    """Whether a class or function comes with a package that is known, and is found there by its name."""
    known = str(value.__module__).partition(".")[0] in _INSTALLED
    return known and (isinstance(value, type) or _named(value) is value)


def _named(value: Any) -> Any:
    """What the name of a function stands for in its module; None where it stands for nothing."""
    found: Any = sys.modules.get(str(value.__module__))
    for name in value.__qualname__.split("."):
        found = inspect.getattr_static(found, name, None)
    return getattr(found, "__func__", found)


def _name(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}"
