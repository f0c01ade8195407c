import pytest

from epslab.errors import UserError, unknown


def test_an_unknown_name_gets_the_nearest_one_and_all_that_are_known() -> None:
    error = unknown("data set", "minst", ["mnist", "digits", "cifar10"])
    assert str(error) == "Unknown data set 'minst'. Did you mean 'mnist'? Known: cifar10, digits, mnist."


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    assert str(unknown("recipe", "qqq", ["vae"])) == "Unknown recipe 'qqq'. Known: vae."


def test_a_user_error_is_a_value_error_for_library_code() -> None:
    with pytest.raises(ValueError, match="Known: a"):
        raise unknown("thing", "b", iter(["a"]))
    assert isinstance(unknown("thing", "b", ["a"]), UserError)
