"""What users get wrong in Python is answered in one sentence that says how to mend it."""

import json
import subprocess
import sys

import pytest
import wrong_calls


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each call raised, in a process without the tests' checks of types."""
    folder = tmp_path_factory.mktemp("calls")
    words = [sys.executable, "-W", "error", wrong_calls.__file__]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads((folder / "said.json").read_text())
    return found


@pytest.mark.processes
@pytest.mark.parametrize("name", wrong_calls.WRONG)
def test_a_wrong_call_gets_one_sentence(said: dict[str, str], name: str) -> None:
    kind, _, sentence = said[name].partition(": ")
    assert kind == "UserError", said[name]
    assert wrong_calls.WRONG[name][1] in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


@pytest.mark.processes
@pytest.mark.parametrize("name", wrong_calls.RIGHT)
def test_what_users_have_works(said: dict[str, str], name: str) -> None:
    assert said[name] == ""
