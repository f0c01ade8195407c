import ast
import re
from pathlib import Path

import pytest

import epslab
from epslab.errors import UserError, as_flags, unknown


def test_an_unknown_name_gets_the_nearest_one_and_all_that_are_known() -> None:
    error = unknown("data set", "minst", ["mnist", "digits", "cifar10"])
    assert str(error) == "Unknown data set 'minst'. Did you mean 'mnist'? Known: cifar10, digits, mnist."


def test_a_name_like_no_other_gets_no_suggestion() -> None:
    assert str(unknown("recipe", "qqq", ["vae"])) == "Unknown recipe 'qqq'. Known: vae."


def test_a_user_error_is_a_value_error_for_library_code() -> None:
    with pytest.raises(ValueError, match="Known: a"):
        raise unknown("thing", "b", iter(["a"]))
    assert isinstance(unknown("thing", "b", ["a"]), UserError)


@pytest.mark.parametrize(
    ("option", "flag"),
    [
        ("`resume=True`", "--resume"),
        ("`findings=False`", "--no-findings"),
        ("`batch_size=64`", "--batch-size 64"),
        ("`learning_rate=`", "--learning-rate"),
        ('`defence="adversarial-loss"`', "--defence adversarial-loss"),
        ("`radius=8/255`", "--radius 8/255"),
        ("`root=`", "--data-root"),
        ("`nodes=`", "--num-nodes"),
        ("`n=`", "-n"),
    ],
)
def test_the_command_line_writes_options_as_flags(option: str, flag: str) -> None:
    assert as_flags(f"Give {option}, please.") == f"Give {flag}, please."


@pytest.mark.parametrize("text", ["`epslab report RUN`", "`Ball.project`", "x=1", "`x==1`", "`PGD(ball, steps=5)`"])
def test_what_is_no_option_stays_as_it_is(text: str) -> None:
    assert as_flags(f"See {text}.") == f"See {text}."


def test_sentences_outside_the_command_line_name_no_flags() -> None:
    """But in a command that is quoted whole."""
    package = Path(epslab.__file__).parent
    files = [path for path in package.rglob("*.py") if "cli" not in path.relative_to(package).parts]
    calls = [(path, node) for path in files for node in ast.walk(ast.parse(path.read_text())) if _says(node)]
    assert len(calls) > 100
    texts = [
        (path.name, part.value) for path, call in calls for part in ast.walk(call) if isinstance(part, ast.Constant)
    ]
    told = [(name, re.sub(r"`epslab [^`]*(`|$)", "", text)) for name, text in texts if isinstance(text, str)]
    flags = [(name, text) for name, text in told if re.search(r"(^|[^\w-])--(\w|$)", text)]
    assert flags == []


def _says(node: ast.AST) -> bool:
    """Whether this makes an error or a finding."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("UserError", "Answer", "Finding")
