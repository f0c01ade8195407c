"""What each attack of an audit was allowed: a ball, or any distance; then how far it went is its result."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from epslab.runs import norm_text, radius_text


@dataclass(frozen=True)
class Threat:
    """One attack.

    Args:
        attack: Its name.
        norm: Of its ball and its distances: "L∞".
        radius: Of its ball, as it was given: "8/255"; empty for an attack without a ball.
        distances: Of the images it broke: the median, and what 10 % and 90 % of them do not exceed, where known.
    """

    attack: str
    norm: str
    radius: str
    distances: tuple[float, ...]

    @property
    def ball(self) -> str:
        """``L∞ ball of radius 8/255``; empty without a ball."""
        return f"{self.norm} ball of radius {self.radius}" if self.radius else ""

    @property
    def _texts(self) -> list[str]:
        """The distances; one as large as the radius, but for rounding, is written as that is."""
        radius = _number(self.radius) if self.radius else math.nan
        return [self.radius if math.isclose(d, radius, rel_tol=1e-5) else radius_text(d) for d in self.distances]

    @property
    def distance(self) -> str:
        """The median, with the other two in brackets: ``1.67 [1.05, 2.3]``; empty if nothing was broken."""
        median, *others = self._texts or [""]
        return f"{median} [{', '.join(others)}]" if others else median

    @property
    def sentence(self) -> str:
        """The same in words, with attack and norm."""
        if not self.distances:
            return f"none, as {self.attack} broke no image"
        median, *others = self._texts
        tenths = f" (10 % within {others[0]}, 90 % within {others[1]})" if others else ""
        return f"{self.norm} {median}{tenths} by {self.attack}"


def threats(content: Mapping[str, Any]) -> list[Threat]:
    """The attacks of a ``result.json``, in order."""
    found = []
    for row in records(content["table"]):
        if row["attack"] not in ("clean", "worst-case"):
            distances = (row.get(name) for name in ("median distance", "distance at 10 %", "distance at 90 %"))
            known = tuple(distance for distance in distances if distance is not None)
            radius = _radius(content, row["attack"], row["norm"])
            found.append(Threat(row["attack"], norm_text(row["norm"]), radius, known))
    return found


def balls(found: Sequence[Threat]) -> str:
    """Where these attacks searched: " in the L∞ ball of radius 8/255"; empty where none has a ball."""
    named = list(dict.fromkeys(threat.ball for threat in found if threat.ball))
    return f" in the {' or the '.join(named)}" if named else ""


def records(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table's rows, each by column."""
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]


def _radius(content: Mapping[str, Any], name: str, norm: str) -> str:
    """An attack's radius as it was asked for; in digits where it has another than all, empty where it has no ball."""
    asked = content["settings"].get("radius")
    own = content.get("attacks", {}).get(name, {"radius": asked}).get("radius")
    if own is None or _number(own) == math.inf:
        return ""
    if asked is not None and norm == content["settings"].get("norm") and math.isclose(_number(own), _number(asked)):
        return asked if isinstance(asked, str) else radius_text(asked)
    return radius_text(_number(own))


def _number(radius: str | float) -> float:
    """A radius of text, "8/255" or "0.3", as a number."""
    above, _, below = str(radius).partition("/")
    return float(above) / float(below or 1)
