"""Differences between runs, and between attacks, that were measured on the same examples: example by example.

Most of what makes a single accuracy or likelihood uncertain is which examples were drawn, and that is the same for
both: the difference has a narrower interval than the numbers.
"""

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor

from epslab.evaluation.paired import Difference, difference, mean_difference
from epslab.report.outcomes import Outcomes
from epslab.runs import Cell, Measurement, Run, Table, with_interval

_ALL = 3
"""Up to this number every two are compared; of more, each with the first."""
_COLUMNS = ("quantity", "difference of", "difference", "better", "examples")
_NOTE = (
    "Later minus earlier, example by example, with its 95 % confidence interval ({how}). Where the interval holds 0,"
    " chance may explain the difference."
)
_SHARES = "Bonett & Price, 2012, for shares"
_MEANS = "the paired t-test's for means"


def pairs(n: int) -> list[tuple[int, int]]:
    """Which of n are compared: (earlier, later)."""
    return list(combinations(range(n), 2)) if n <= _ALL else [(0, later) for later in range(1, n)]


def differences_of_runs(runs: Sequence[Run], names: Sequence[str]) -> Table:
    """What the measurements of runs differ by, where two were measured on the same examples; perhaps without rows."""
    rows: list[list[Cell]] = []
    shares: set[bool] = set()
    for i, j in pairs(len(runs)):
        for one, earlier, later in _shared(runs[i], runs[j]):
            share = one.unit == "fraction"
            found = difference(later > 0.5, earlier > 0.5) if share else mean_difference(later - earlier)
            text = str(found) if share else f"{with_interval(*found)} {one.unit}".rstrip()
            rows.append(
                [one.name, f"{names[j]} − {names[i]}", text, _better(found, one, names[i], names[j]), len(later)]
            )
            shares.add(share)
    return _table(rows, [how for share, how in ((True, _SHARES), (False, _MEANS)) if share in shares])


def differences_of_attacks(found: Sequence[Outcomes], names: Sequence[str]) -> Table:
    """What accuracies differ by: clean, under the same attack, in the worst case in the same balls."""
    rows: list[list[Cell]] = []
    for i, j in pairs(len(found)):
        earlier, later = found[i], found[j]
        for quantity in earlier.shared(later):
            gap = difference(later.standing[quantity], earlier.standing[quantity])
            better = (names[j] if gap.sign > 0 else names[i]) if gap.sign else "not told apart"
            rows.append([quantity, f"{names[j]} − {names[i]}", str(gap), better, len(later.standing[quantity])])
    return _table(rows, [_SHARES])


def _shared(earlier: Run, later: Run) -> list[tuple[Measurement, Tensor, Tensor]]:
    """The measurements that both runs have of the same examples, with their values [n]."""
    data = [(run.result().get("of") or {}).get("data") for run in (earlier, later)]
    if data[0] is None or data[0] != data[1]:
        return []
    alike = earlier.measured().conditions == later.measured().conditions
    own, others = earlier.measurements(), later.measurements()
    before, after = earlier.per_example(), later.per_example()
    return [
        (others[key], torch.tensor(before[key], dtype=torch.float64), torch.tensor(values, dtype=torch.float64))
        for key, values in after.items()
        # A share compares under any conditions; a likelihood only where both see the image alike.
        if key in before
        and len(before[key]) == len(values) > 1
        and (own[key].unit, own[key].note) == (others[key].unit, others[key].note)
        and (alike or own[key].unit == "fraction")
    ]


def _better(found: Difference, one: Measurement, earlier: str, later: str) -> str:
    if one.better is None:
        return ""
    if not found.sign:
        return "not told apart"
    return later if (found.sign > 0) == (one.better == "higher") else earlier


def _table(rows: Sequence[Sequence[Cell]], how: Sequence[str]) -> Table:
    return Table("Differences on the same examples", _COLUMNS, rows, _NOTE.format(how="; ".join(how)))
