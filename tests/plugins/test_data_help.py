"""The help names the data sets that installed packages bring."""

import pytest

from epslab.cli import main


@pytest.mark.parametrize("verb", ["attack", "data", "tour", "study", "train"])
def test_the_help_of_data_names_outside_sets(verb, capsys):
    assert main([verb, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "digits, mnist, fashion-mnist, cifar10, shapes, moons, stripes" in printed
    assert "data_sets" not in printed
