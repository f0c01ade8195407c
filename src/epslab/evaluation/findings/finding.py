"""One check of an evaluation, with its evidence and verdict."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

Verdict = Literal["pass", "fail", "not checked"]


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Args:
        name: The statement that was checked.
        verdict: "pass", "fail", or "not checked" where the question has no answer here.
        evidence: One or two sentences with the numbers, and with the reason where nothing was checked.
        numbers: The numbers by name.
    """

    name: str
    verdict: Verdict
    evidence: str
    numbers: Mapping[str, float | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """``pass: iterative beats one-step. Examples broken, of 249: PGD 10, one step 10.``."""
        return f"{self.verdict}: {self.name}. {self.evidence}"

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


class Answer(NamedTuple):
    """What a check says of its statement; ``judge`` makes a ``Finding`` of it."""

    failed: bool | None  #: None: the question has no answer here
    evidence: str
    numbers: Mapping[str, float | int] = {}
