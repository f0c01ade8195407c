"""How the house is built: no import runs in a circle, files hold one idea, functions fit on a screen."""

import ast
import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import grimp
import networkx
import pytest
import torch

import epslab

SOURCE = Path(epslab.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
LONGEST_FILE = 300
LONGEST_FUNCTION = 40
MODULES = sorted(
    module.name for module in pkgutil.walk_packages(epslab.__path__, "epslab.") if "__main__" not in module.name
)


def test_no_import_runs_in_a_circle() -> None:
    """Packages' own ``__init__`` counted: what a file imports from its package must not import that file."""
    graph = grimp.build_graph("epslab", exclude_type_checking_imports=True, cache_dir=None)
    imports = networkx.DiGraph()
    imports.add_nodes_from(graph.modules)
    imports.add_edges_from(
        (module, used) for module in graph.modules for used in graph.find_modules_directly_imported_by(module)
    )
    circles = [sorted(circle) for circle in networkx.strongly_connected_components(imports) if len(circle) > 1]
    assert len(imports) > 100
    assert circles == []


def test_files_are_short() -> None:
    lengths = {str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_functions_are_short() -> None:
    """Signature and docstring apart."""
    long = {
        f"{path.relative_to(SOURCE)}:{name}": length
        for path in FILES
        for name, length in functions(ast.parse(path.read_text(encoding="utf-8")))
        if length > LONGEST_FUNCTION
    }
    assert long == {}


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Each function's name and the lines of its body."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if body:
                yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(module, extraglobs={"torch": torch}, optionflags=flags)
    assert failed == 0
