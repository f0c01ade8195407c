"""What attacks did to each example, read from an attack's folder."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from epslab.report.robustness import AuditFolder

_CLEAN, _WORST = "accuracy without an attack", "worst-case accuracy"


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Which of the same n examples a model gets right, with and without attacks.

    Args:
        model: What describes the model.
        examples: What describes images and labels.
        standing: By quantity, "accuracy under pgd": which examples are right, [n].
        settings: By quantity: under which attacks, or in which balls.
    """

    model: str
    examples: tuple[str, str]
    standing: Mapping[str, Bool[Tensor, " n"]]
    settings: Mapping[str, str]

    @classmethod
    def of(cls, audit: AuditFolder) -> "Outcomes | None":
        """Those of a folder; None where it does not hold them."""
        if audit.folder is None:
            return None
        try:
            about = json.loads((audit.folder / "evaluation.json").read_text(encoding="utf-8"))
            columns = _columns(audit.folder / "examples.csv")
            right = _equal(columns["label"], columns["prediction"])
            attacks = audit.content["attacks"]
            broken = {name: _equal(columns[f"{name}/broken"], ["1"] * len(right)) for name in attacks}
            return cls(
                str(audit.content.get("model")), (str(about["images"]), str(about["labels"])),
                *_quantities(right, broken, attacks),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def shared(self, other: "Outcomes") -> list[str]:
        """The quantities that compare with those of another; none where the examples differ."""
        if self.examples != other.examples:
            return []
        return [
            quantity
            for quantity in self.standing
            if quantity in other.standing
            and self.settings[quantity] == other.settings[quantity]
            and not (quantity == _CLEAN and self.model == other.model)
        ]


def _quantities(
    right: Bool[Tensor, " n"], broken: Mapping[str, Bool[Tensor, " n"]], attacks: Mapping[str, Mapping[str, object]]
) -> tuple[dict[str, Bool[Tensor, " n"]], dict[str, str]]:
    """What stands, and under what; the worst case is that of the attacks in a ball where there are any."""
    balls = {name: (one["norm"], one["radius"]) for name, one in attacks.items() if one["radius"] not in (None, inf)}
    joint = [broken[name] for name in (balls or attacks)]
    standing = {_CLEAN: right, **{f"accuracy under {name}": ~one for name, one in broken.items()}}
    settings = {_CLEAN: "", **{f"accuracy under {name}": str(one["settings"]) for name, one in attacks.items()}}
    return standing | {_WORST: ~torch.stack(joint).any(0)}, settings | {
        _WORST: str(sorted(set(balls.values()), key=str))
    }


def _columns(path: Path) -> dict[str, list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    return dict(zip(header, map(list, zip(*rows, strict=True)), strict=True))


def _equal(values: list[str], others: list[str]) -> Bool[Tensor, " n"]:
    return torch.tensor([value == other for value, other in zip(values, others, strict=True)])
