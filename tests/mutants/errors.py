"""The small errors: one operator, comparison, number or truth value of a source file changed."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_REMOVED = (ast.Not, ast.USub, ast.Invert)


@dataclass(frozen=True)
class Mutant:
    """One small error.

    Args:
        path: The file it is put into.
        where: Module and qualified name of the function or class around it.
        before: The expression as it stands.
        after: The expression with the error.
        number: Which of equal errors in the same place, from 1.
        span: First line, first byte, last line, last byte of the expression.
    """

    path: Path
    where: str
    before: str
    after: str
    number: int
    span: tuple[int, int, int, int]

    @property
    def name(self) -> str:
        """What it is called in ``equivalent.txt``; it survives edits elsewhere in the file."""
        return f"{self.where}: {self.before} -> {self.after}" + (f" ({self.number})" if self.number > 1 else "")

    def source(self) -> str:
        """The file's text with the error in it."""
        first, start, last, end = self.span
        lines = self.path.read_bytes().splitlines(keepends=True)
        head, tail = lines[first - 1][:start], lines[last - 1][end:]
        lines[first - 1 : last] = [head + f"({self.after})".encode() + tail]
        return b"".join(lines).decode()


def mutants(path: Path, module: str) -> Iterator[Mutant]:
    """Every error that can be put into a file."""
    counted: dict[tuple[str, str, str], int] = {}
    for node, where in _expressions(ast.parse(path.read_text(encoding="utf-8")), module):
        for changed in _changed(node):
            before, after = ast.unparse(node), ast.unparse(changed)
            key = (where, before, after)
            counted[key] = counted.get(key, 0) + 1
            span = (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)
            yield Mutant(path, where, before, after, counted[key], span)


def _expressions(node: ast.AST, where: str) -> Iterator[tuple[ast.expr, str]]:
    """Expressions that are computed when the code runs: no annotations, no messages, no decorators."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Assert):
        return
    named = isinstance(node, ast.FunctionDef | ast.ClassDef)
    inside = f"{where}.{node.name}" if named else where
    if isinstance(node, ast.expr):
        yield node, inside
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _expressions(child, inside)


def _changed(node: ast.expr) -> Iterator[ast.expr]:
    """The expression with an error, for each error that fits it."""
    new = copy.deepcopy(node)
    if isinstance(new, ast.BinOp | ast.BoolOp) and type(new.op) in _SWAPPED:
        new.op = _SWAPPED[type(new.op)]()  # type: ignore[assignment]
        yield new
    elif isinstance(new, ast.Compare) and len(new.ops) == 1 and type(new.ops[0]) in _SWAPPED:
        new.ops = [_SWAPPED[type(new.ops[0])]()]  # type: ignore[list-item]
        yield new
    elif isinstance(new, ast.UnaryOp) and isinstance(new.op, _REMOVED):
        yield new.operand
    elif isinstance(new, ast.IfExp):
        yield ast.IfExp(new.test, new.orelse, new.body)
    elif isinstance(new, ast.Constant) and isinstance(new.value, bool):
        yield ast.Constant(not new.value)
    elif isinstance(new, ast.Constant) and isinstance(new.value, int | float):
        yield ast.Constant(new.value + 1 if isinstance(new.value, int) else new.value * 1.5 + 0.1)
