"""Every flag that a sentence names is a flag of some verb."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import epslab as package
from epslab.cli import VERBS
from epslab.errors import as_flags
from epslab.recipes import RECIPES

SOURCE = Path(package.__file__).parent
OPTION = re.compile(r"`[a-z]\w*=[^`]*`|`epslab [^`]*`")


@pytest.fixture
def flags(epslab):
    """Those of all verbs and recipes."""
    asked = [(verb, "--help") for verb in VERBS] + [("train", recipe, "--help") for recipe in RECIPES]
    measured = {
        f"--{field.name.replace(chr(95), chr(45))}"
        for name in RECIPES
        if (own := RECIPES[name].options)
        for field in fields(own)
    }
    return (
        measured
        | {flag for words in asked for flag in re.findall(r"--[a-z][a-z0-9-]*", epslab(*words).out)}
        | {
            "--debug",
            "--version",
        }
    )


def sentences(tree):
    """The texts of a module but its docstrings; "X" for what is formatted into them."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, documented) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.value


def test_every_flag_in_a_sentence_exists(flags):
    named = set()
    for path in SOURCE.rglob("*.py"):
        for text in sentences(ast.parse(path.read_text(encoding="utf-8"))):
            # Options in Python's words anywhere; flags as such in commands, and in the words of the command line.
            said = text if path.is_relative_to(SOURCE / "cli") else " ".join(OPTION.findall(text))
            named |= {(flag, path.name) for flag in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]", as_flags(said))}
    assert len(named) > 30
    assert not {(flag, name) for flag, name in named if flag not in flags}
