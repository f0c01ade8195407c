import pytest

from epslab.errors import UserError
from epslab.recipes.quality import Samples, joined
from epslab.runs import Measured, Measurement


def test_counts_that_cannot_work_are_refused() -> None:
    with pytest.raises(UserError, match=r"`generated=` is -1, but must be 0 or more, or `None`\."):
        Samples(generated=-1)
    with pytest.raises(UserError, match=r"`neighbours=` is 0, but must be 1 or more\."):
        Samples(neighbours=0)


def test_of_two_headlines_the_first_stays() -> None:
    bound = Measured([Measurement("elbo", "ELBO", value=1.0, headline=True)], conditions="16 grey levels")
    others = [Measurement("kernel_distance", "kernel distance", value=2.0, headline=True)]
    whole = joined(bound, Measured(others, statements=["So."], per_example={"coverage": [1.0]}))
    assert [(one.key, one.headline) for one in whole.measurements] == [("elbo", True), ("kernel_distance", False)]
    assert (whole.conditions, whole.statements, whole.per_example) == ("16 grey levels", ["So."], {"coverage": [1.0]})
    assert joined(Measured([]), Measured(others)).measurements[0].headline
