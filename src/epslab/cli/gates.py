"""Gates for continuous integration: what a result must hold for the command to succeed."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from epslab.errors import UserError
from epslab.runs import percent


class GateFailed(Exception):  # noqa: N818 - the command worked: what it measured is not good enough
    """A result that does not pass; the message says which gates failed. The command ends with exit code 3."""


@dataclass(frozen=True)
class Gates:
    """What is asked of an attacked classifier.

    Args:
        fail_below: In percent: fail where the lower end of the worst case's 95 % interval is below. None: no gate.
        on_findings: Fail where a finding speaks against the attacks.
    """

    fail_below: float | None = None
    on_findings: bool = False

    def require_passable(self, images: int) -> None:
        """Check that a classifier that is right on all of this number of images would pass.

        Raises:
            UserError: It would not: even then the interval begins lower.
        """
        if self.fail_below is None:
            return
        from epslab.classifiers import Proportion

        least = self.fail_below / 100
        best = Proportion(images, images).interval()
        if best[0] < least:
            # Of n successes in n trials the interval of Clopper and Pearson begins at 0.025^(1/n).
            enough = f"it takes {math.ceil(math.log(0.025) / math.log(least))} images or more" if least < 1 else "never"
            raise UserError(
                f"--fail-below {self.fail_below:g} cannot be passed with {images} images, where even the best accuracy"
                f" is {percent(1.0, best)}: {enough}; give a larger --limit or a smaller --fail-below."
            )

    def failures(self, content: Mapping[str, Any]) -> list[str]:
        """A sentence for each gate that the content of an attack's ``result.json`` does not pass."""
        failed = []
        worst = content["worst_case"]
        if self.fail_below is not None and 100 * worst["low"] < self.fail_below:
            accuracy = percent(worst["value"], (worst["low"], worst["high"]))
            failed.append(f"worst-case accuracy is {accuracy}, its lower end below {self.fail_below:g} %")
        spoke = [finding["name"] for finding in content["findings"] if finding["verdict"] == "fail"]
        if self.on_findings and spoke:
            failed.append(f"{len(spoke)} finding{'s' * (len(spoke) > 1)} not passed: {'; '.join(spoke)}")
        return failed


def percentage(text: str | None) -> float | None:
    """What ``--fail-below`` says, in percent: "50" or "50%".

    Raises:
        UserError: It is no number from 0 to 100, or a fraction such as 0.5, which may be meant as half.
    """
    if text is None:
        return None
    number = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", text)
    value = float(number[1]) if number else math.nan
    if number is None or not 0 <= value <= 100:
        raise UserError(f"--fail-below is '{text}', but must be a percentage from 0 to 100, e.g. 50.")
    if 0 < value < 1 and not number[2]:
        raise UserError(
            f"--fail-below is in percent: '{text}' would be less than one percent; write {100 * value:g}, or"
            f" '{text}%' if that is meant."
        )
    return value
