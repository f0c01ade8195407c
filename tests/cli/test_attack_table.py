import io

import pytest
from rich.console import Console

from epslab.cli.attack_table import AttackTable


class Clock:
    """Seconds as a test says."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def cells(filled):
    """The table's cells by the row's name."""
    table = filled.render()
    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    return {name: row for name, *row in zip(*columns, strict=True)}


def test_rows_fill_with_accuracy_interval_rate_and_time_left(clock):
    with AttackTable(["pgd"], 300, clock=clock, shown=False) as filled:
        assert cells(filled)["pgd"] == ["", "", "0/300", "", ""]
        clock.now = 2.0
        filled("attacks/pgd", 100, 40, True)
        # 100 images in 2 s; 40 of 100: Clopper–Pearson 30.3 to 50.3; 200 more at 50 a second.
        assert cells(filled)["pgd"] == ["40.0 %", "[30.3, 50.3]", "100/300", "50", "0:04"]
        assert cells(filled)["clean"] == ["", "", "0/300", "", ""]


def test_batches_of_an_earlier_start_count_but_not_for_the_rate(clock):
    with AttackTable(["pgd"], 300, clock=clock, shown=False) as filled:
        filled("attacks/pgd", 200, 100, False)
        clock.now = 10.0
        filled("attacks/pgd", 50, 25, True)
        assert cells(filled)["pgd"] == ["50.0 %", "[43.6, 56.4]", "250/300", "5", "0:10"]


def test_other_parts_are_named_while_they_last(clock):
    with AttackTable(["pgd"], 10, clock=clock, shown=False) as filled:
        filled("sweep", 4, 1, True)
        filled("sweep", 4, 1, True)
        assert cells(filled)["sweep"][2] == "8"
        filled("checks/probe", 5, None, True)
        assert cells(filled)["checks/probe"][2] == "5"
        filled("attacks/pgd", 5, 5, True)
        assert set(cells(filled)) == {"clean", "pgd"}


@pytest.mark.parametrize(
    ("terminal", "shown", "drawn"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_only_a_terminal_gets_the_table(clock, terminal, shown, drawn):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80)
    with AttackTable(["pgd"], 10, console=console, clock=clock, shown=shown) as filled:
        filled("attacks/pgd", 5, 5, True)
    assert ("pgd" in out.getvalue()) is drawn


def test_hours_are_said(clock):
    with AttackTable(["pgd"], 7300, clock=clock, shown=False) as filled:
        clock.now = 1.0
        filled("clean", 1, 1, True)
        assert cells(filled)["clean"][-1] == "2:01:39"
