"""What was measured comes back from disk as it was, for the settings it was measured with."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest
import torch

from epslab.classifiers import Proportion
from epslab.errors import UserError
from epslab.evaluation.estimate import Estimate
from epslab.studies.found import Kept, read, returned, write

from .founds import ALL

SETTINGS = {"seed": 0, "data": ["digits", "sha"]}


class Pair(NamedTuple):
    name: str
    share: Proportion


@dataclass(frozen=True, eq=False)
class Everything:
    flag: bool
    count: int
    value: float
    missing: float | None
    word: str | None
    pairs: tuple[Pair, ...]
    both: tuple[int, str]
    by_dimension: Mapping[int, Estimate]
    by_beta: dict[float, list[float]]
    picture: bytes
    maybe: bytes | None
    way: Literal["up", "down"] | None
    tensors: Mapping[str, torch.Tensor]


EVERYTHING = Everything(
    flag=True,
    count=3,
    value=-math.inf,
    missing=None,
    word="β / 'x'",
    pairs=(Pair("a", Proportion(1, 3)), Pair("b", Proportion(3, 3))),
    both=(1, "one"),
    by_dimension={2: Estimate(1.5, math.nan, 1), 20: Estimate(0.1, 0.2, 3)},
    by_beta={0.1: [1.0, 2.0]},
    picture=b"\x89PNG\x00\xff",
    maybe=b"",
    way="up",
    tensors={"mask": torch.tensor([True, False]), "x": torch.arange(4.0).view(2, 2).t(), "none": torch.zeros(0, 3)},
)


def same(a: Any, b: Any) -> bool:
    """Equal in value and type, tensors and NaN included."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


@pytest.mark.parametrize("found", [EVERYTHING, *(make() for make in ALL.values())], ids=["everything", *ALL])
def test_what_is_written_is_read_back(tmp_path: Path, found: Any) -> None:
    file = tmp_path / "deep" / "found.json"
    write(Kept(found, 1.5, {"runs/a": "sha"}), file, SETTINGS)
    again = read(type(found), file, SETTINGS)
    assert again is not None
    assert same(again.value, found)
    assert (again.seconds, again.runs) == (1.5, {"runs/a": "sha"})


def test_the_file_is_strict_json_that_a_person_reads(tmp_path: Path) -> None:
    write(Kept(EVERYTHING, 1.0, {}), tmp_path / "found.json", SETTINGS)

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    content = json.loads((tmp_path / "found.json").read_text(), parse_constant=refuse)
    assert content["found"]["pairs"][0] == {"name": "a", "share": {"successes": 1, "n": 3}}
    assert content["found"]["by_dimension"]["20"] == {"mean": 0.1, "standard_error": 0.2, "n": 3}
    assert "β / 'x'" in (tmp_path / "found.json").read_text()


@dataclass(frozen=True)
class One:
    value: float


@dataclass(frozen=True)
class Two:
    value: float
    other: float


@dataclass(frozen=True)
class Count:
    value: int


@pytest.mark.parametrize("kind", [Two, Count])
def test_numbers_of_another_form_are_not_read(tmp_path: Path, kind: type) -> None:
    write(Kept(One(0.5), 1.0, {}), tmp_path / "found.json", SETTINGS)
    assert read(One, tmp_path / "found.json", SETTINGS) is not None
    assert read(kind, tmp_path / "found.json", SETTINGS) is None
    assert read(One, tmp_path / "found.json", {**SETTINGS, "seed": 1}) is None


@pytest.mark.parametrize("damage", ["{", "[]", "{}", None])
def test_what_cannot_be_read_was_not_measured(tmp_path: Path, damage: str | None) -> None:
    file = tmp_path / "found.json"
    write(Kept(EVERYTHING, 1.0, {}), file, SETTINGS)
    if damage is None:
        file.with_suffix(".safetensors").write_bytes(b"half")
    else:
        file.write_text(damage)
    assert read(Everything, file, SETTINGS) is None


def test_what_has_no_place_in_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="cannot be kept"):
        write(Kept({"a": object()}, 1.0, {}), tmp_path / "found.json", SETTINGS)
    assert not (tmp_path / "found.json").exists()


class Toy:
    def measure(self, context: object) -> "One":
        return One(1.0)


def test_the_annotation_says_what_is_read_back() -> None:
    assert returned(Toy().measure) is One
    assert returned(same) is bool
    with pytest.raises(UserError, match=r"does not say what it returns.*measure\(context\) -> Found"):
        returned(lambda context: One(1.0))
