"""Fingerprints: whatever can change an answer changes them, nothing else does, in this process or another."""

import functools
import os
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from epslab.attacks import PGD, Transfer, dlr
from epslab.classifiers import Normalised
from epslab.evaluation.fingerprints import describe, fingerprint
from epslab.geometry import L2, Ball, Linf
from epslab.types import Images, Logits

WEIGHT = torch.arange(8.0).view(4, 2)
SCALE = 3.0


def global_model(images: Images) -> Logits:
    """A function with its weights among the globals."""
    return images.flatten(1) @ WEIGHT


def scaled_by_a_global(images: Images) -> Images:
    return images * SCALE


def through_another(images: Images) -> Images:
    return [scaled_by_a_global(image) for image in images]  # type: ignore[return-value]


class Plain:
    """An object without a repr; it refers to itself."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.myself = self

    def __call__(self, images: Images) -> Logits:
        return images.flatten(1)


class Wrapper(nn.Module):
    """A module with plain attributes, one of them private."""

    def __init__(self, std: float = 0.1, **rest: Any) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        nn.init.ones_(self.inner.weight)
        nn.init.zeros_(self.inner.bias)
        self._std = std
        vars(self).update(rest)

    def forward(self, images: Images) -> Logits:
        logits: Tensor = self.inner(images * self._std)
        return logits

    @functools.cached_property
    def double(self) -> float:
        return 2 * self._std


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


@dataclass(frozen=True)
class Settings:
    ball: Ball
    size: float = 1.0


def closed(value: Any) -> Any:
    return lambda images: value(images)


def made(body: str) -> Any:
    """A class Made, defined by this text."""
    names: dict[str, Any] = {"__name__": "made", "nn": nn, "dataclass": dataclass}
    exec(body, names)
    return names["Made"]


def times(factor: float) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def multiplied(*given: Any) -> Any:
            return factor * function(*given)

        return multiplied

    return decorate


def identity(x: Any) -> Any:
    return x


def hooked(shift: float) -> nn.Module:
    net = Wrapper()
    net.register_forward_hook(lambda module, given, out: out + shift)
    return net


def of_defaults(value: float) -> Any:
    def function(images: Images, scale: float = value, *, shift: float = value) -> Images:
        return images * scale + shift

    return function


NET, OTHER = Wrapper(), Wrapper(0.2)
NESTED = "class Made(nn.Module):\n  step = {}\n  def forward(self, x):\n    return [y * {} for y in x]\n"

DIFFERENT: dict[str, tuple[Any, Any]] = {
    "an attack's field": (PGD(Linf(0.1)), PGD(Linf(0.1), steps=41)),
    "the norm": (PGD(Linf(0.1)), PGD(L2(0.1))),
    "the objective": (PGD(Linf(0.1)), PGD(Linf(0.1), objective=dlr)),
    "a surrogate": (Transfer(NET, PGD(Linf(0.1))), Transfer(OTHER, PGD(Linf(0.1)))),
    "an object's attribute": (Plain(1), Plain(2)),
    "a closure": (closed(NET), closed(OTHER)),
    "partial arguments": (functools.partial(torch.add, WEIGHT), functools.partial(torch.add, WEIGHT + 1)),
    "a dtype": (WEIGHT, WEIGHT.double()),
    "a shape": (WEIGHT, WEIGHT.view(2, 4)),
    "a mapping": ({"a": WEIGHT}, {"a": WEIGHT * 2}),
    "a bound method": (Plain(NET).__call__, Plain(OTHER).__call__),
    "a private attribute of a module": (Wrapper(0.1), Wrapper(0.2)),
    "an attribute of a submodule": (nn.Sequential(Wrapper(0.1)), nn.Sequential(Wrapper(0.2))),
    "an attribute that repr does not show": (nn.BatchNorm2d(2, eps=1e-5), nn.BatchNorm2d(2, eps=2e-5)),
    "a tensor that is no buffer": (Wrapper(mean=WEIGHT), Wrapper(mean=WEIGHT + 1)),
    "tensors in a list": (Wrapper(means=[WEIGHT]), Wrapper(means=[WEIGHT + 1])),
    "a module that is not registered": (Wrapper(rest=[NET]), Wrapper(rest=[OTHER])),
    "a wrapper's std": (Normalised(nn.Identity(), 0.5, 0.2), Normalised(nn.Identity(), 0.5, 0.3)),
    "a hook's constant": (hooked(1.0), hooked(2.0)),
    "a constant in a lambda": (lambda x: x * 0.5, lambda x: x * 0.25),
    "an operator in a lambda": (lambda x: x * 0.5, lambda x: x + 0.5),
    "a constant in a nested lambda": (lambda x: [lambda: x * 0.5], lambda x: [lambda: x * 0.25]),
    "the name of an attribute": (lambda x: x.sin(), lambda x: x.cos()),
    "True for 1": (lambda x: x * True, lambda x: x * 1),
    "zero's sign": (lambda x: x - 0.0, lambda x: x - -0.0),
    "defaults": (of_defaults(1.0), of_defaults(2.0)),
    "a decorator's constant": (times(2.0)(identity), times(3.0)(identity)),
    "a class attribute": (made(NESTED.format(1, 2))(), made(NESTED.format(3, 2))()),
    "a constant in a method": (made(NESTED.format(1, 2))(), made(NESTED.format(1, 3))()),
    "the method of a settings class": (
        made("@dataclass\nclass Made:\n  a: int = 1\n  def f(self):\n    return 2\n")(),
        made("@dataclass\nclass Made:\n  a: int = 1\n  def f(self):\n    return 3\n")(),
    ),
    "the middle of an array": (np.arange(5000), np.arange(5000) + (np.arange(5000) == 2500)),
    "slots": (Slotted(1), Slotted(2)),
    "a fraction": (Fraction(1, 3), Fraction(2, 3)),
    "a generator's state": (torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)),
    "an ordered mapping": (OrderedDict(a=1, b=2), OrderedDict(a=1, b=3)),
    "settings within settings": (Settings(Linf(0.1)), Settings(Linf(0.2))),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_can_change_an_answer_changes_the_fingerprint(name: str) -> None:
    a, b = DIFFERENT[name]
    assert describe(a) != describe(b)
    assert describe(a) == describe(a)
    assert "0x" not in describe(a)
    assert fingerprint(a).unknown is None


def test_globals_that_a_function_uses_count_also_through_another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    before = [describe(function) for function in (global_model, scaled_by_a_global, through_another, identity)]
    monkeypatch.setattr(f"{__name__}.SCALE", 4.0)
    monkeypatch.setattr(f"{__name__}.WEIGHT", WEIGHT + 1)
    after = [describe(function) for function in (global_model, scaled_by_a_global, through_another, identity)]
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, False, False, True]


def test_what_changes_no_answer_leaves_the_fingerprint() -> None:
    assert describe(Plain(1)) == describe(Plain(1))
    assert describe(closed(NET)) == describe(closed(NET))
    assert describe(Wrapper()) == describe(Wrapper())
    assert describe({"a": 1, "b": 2}) == describe({"b": 2, "a": 1})
    documented = "def Made(x):\n  'One.'\n  return 2 * x\n"
    assert describe(made(documented)) == describe(made("\n\n" + documented.replace("One", "Two")))
    net = Wrapper()
    before = describe(net)
    net.zero_grad()
    net(torch.ones(1, 2)).sum().backward()
    assert net.train().double == 0.2  # kept in the module from now on
    assert describe(net) == describe(net.eval()) == before
    assert describe(torch.compile(net, backend="eager")) == before
    assert describe(dlr) == "epslab.attacks.objectives.dlr()"
    assert "steps=40" in describe(PGD(Linf(0.1)))


def test_a_models_fingerprint_follows_weights_and_statistics() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    before = describe(net)
    net[1].running_mean += 1
    after = describe(net)
    assert after != before
    with torch.no_grad():
        net[0].weight[0, 0, 0, 0] += 1e-6
    assert describe(net) not in (before, after)
    large = torch.zeros(2**26 + 5, dtype=torch.uint8)
    before = describe(large)
    large[-1] = 1
    assert describe(large) != before


def test_circles_and_shared_parts_are_described_in_one_pass() -> None:
    """Every object holds all: walking each path would take longer than the universe is old."""
    web = [Plain(value) for value in range(40)]
    for knot in web:
        knot.all = web  # type: ignore[attr-defined]
    text = describe(web[0])
    web[-1].value = -1
    assert describe(web[0]) != text
    chain: Any = None
    for _ in range(10_000):
        chain = Plain(chain)
    assert fingerprint(chain).unknown is not None


@pytest.mark.parametrize(
    ("value", "unknown"),
    [
        (threading.Lock(), "lock"),
        (Wrapper(lock=threading.Lock()), "lock"),
        (closed(n for n in range(3)), "generator"),
        (Settings(ball=Linf(0.1), size=threading.RLock()), "RLock"),  # type: ignore[arg-type]
    ],
)
def test_what_has_no_description_is_named(value: Any, unknown: str) -> None:
    assert unknown in (fingerprint(value).unknown or "")


SCRIPT = (
    "import sys; sys.path.insert(0, sys.argv[1]); import test_fingerprints as t; print(*t.all_described(), sep='\\n')"
)


def all_described() -> list[str]:
    names = {"pets": {"cat", "dog", "eel", "fox"}}
    held = (through_another, names, lambda x: x in {"cat", "dog", "eel"}, Wrapper(kinds={"a", "b", "c"}))
    return [describe(value) for pair in DIFFERENT.values() for value in pair] + [describe(held)]


@pytest.mark.processes
def test_another_process_finds_the_same() -> None:
    """Sets and names have another order there."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)],
        env=os.environ | {"PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.splitlines() == all_described()
