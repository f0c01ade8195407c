"""Outcomes are counted right, and a long evaluation that is killed goes on where it was."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from epslab import data
from epslab.attacks import FGSM
from epslab.geometry import Linf
from epslab.studies.context import Context
from epslab.studies.outcomes import Outcomes, outcomes


def test_shares_and_differences() -> None:
    right = torch.tensor([True, True, True, False])
    broken = {"a": ~right | torch.tensor([True, True, False, False]), "b": ~right}
    found = Outcomes(right, broken, {"a": 2.0, "b": 1.0})
    assert (found.images, found.clean, found.accuracy("a"), found.accuracy("b")) == (4, 0.75, 0.25, 0.75)
    assert found.more("a", "b").value == 0.5
    assert found.more("b", "a").value == -0.5


@dataclass(frozen=True)
class Logged(FGSM):
    """Notes every batch, and is killed at the first one where a file says so."""

    name: str = ""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        if Path(f"kill {self.name}").exists():
            raise KeyboardInterrupt
        with Path("asked").open("a") as log:
            log.write(self.name)
        return super().__call__(*arguments, **options)


@pytest.mark.parametrize(("scale", "asked"), [("full", "a" + "b"), ("quick", "a" + "ab")])
def test_a_killed_evaluation_goes_on_at_full_scale(tmp_path: Path, monkeypatch, scale: str, asked: str) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    images = data.load("digits", "test")[:50]
    attacks = {name: Logged(Linf(0.1), name=name) for name in "ab"}
    context = Context(scale=scale, out=tmp_path, progress=False, study="toy")
    Path("kill b").touch()
    with pytest.raises(KeyboardInterrupt):
        context.once("toy", outcomes, net, images, attacks, context)
    Path("kill b").unlink()
    found = context.once("toy", outcomes, net, images, attacks, context)
    assert Path("asked").read_text() == asked
    assert list(found.broken) == ["a", "b"]
    again = context.once("toy", outcomes, net, images, attacks, context)
    assert Path("asked").read_text() == asked
    assert all(torch.equal(again.broken[name], found.broken[name]) for name in "ab")
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["found"]
