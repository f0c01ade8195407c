"""Numbers become text in one place: nothing else in the package rounds a number for a reader."""

import ast
import re
from pathlib import Path

import epslab

SOURCE = Path(epslab.__file__).parent
ROUNDS = re.compile(r"\.\d+[fge%]?$")
OTHERS = {
    "runs/text.py": "the place itself",
    "progress.py": "a rate that changes many times a second keeps its width",
    "recipes/memory.py": "a refusal names gigabytes",
    "files.py": "a refusal names megabytes as whole numbers",
    "arrays.py": "a refusal shows by how much values leave [0, 1]",
    "evaluation/robustness_measure.py": "a refusal shows by how much a distance is beyond the radius",
    "probability/divergences.py": "a refusal shows by how much sums miss 1",
    "data/pointset.py": "the layer of data knows no runs",
    "data/download.py": "the layer of data knows no runs",
    "cli/data.py": "whole megabytes in a column",
    "classifiers/proportion.py": "the ends of an interval, as `percent` writes them",
    "evaluation/paired.py": "percentage points, with a decimal as percentages have",
    "report/robustness.py": "columns in percent, whose heading has the unit",
    "figures/images.py": "ticks of an axis",
    "studies/broken_defences.py": "a whole number",
    "runs/lock.py": "whole seconds",
}


def rounding(path: Path) -> list[str]:
    """The formats of f-strings that round."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    specs = [node.format_spec for node in ast.walk(tree) if isinstance(node, ast.FormattedValue) and node.format_spec]
    texts = [ast.unparse(spec).strip("f'\"") for spec in specs]
    return [text for text in texts if ROUNDS.search(text)]


def test_no_other_file_rounds_numbers_for_a_reader() -> None:
    found = {path.relative_to(SOURCE).as_posix(): rounding(path) for path in SOURCE.rglob("*.py")}
    assert found["runs/text.py"]
    assert {name: formats for name, formats in found.items() if formats and name not in OTHERS} == {}
