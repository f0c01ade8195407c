"""Output on any stream: where its encoding lacks a character, a plain one is written instead."""

import codecs
import io
import re
import sys
import unicodedata

_PLAIN = {
    "✓": "+", "✗": "x", "±": "+-", "×": "x", "∞": "inf", "−": "-", "–": "-", "—": "-", "…": "...", "·": "*",
    "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "→": "->", "←": "<-", "‖": "||", "½": "1/2", "⅓": "1/3", "′": "'",
    "∇": "grad", "Σ": "sum", "∫": "integral", "√": "sqrt", "σ": "sigma", "μ": "mu", "β": "beta", "α": "alpha",
    "ε": "eps", "θ": "theta", "δ": "delta", "λ": "lambda", "π": "pi", "χ": "chi", "━": "-", "╸": "-", "╺": "-",
}  # fmt: skip
_SUPERSCRIPTS = "⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵏᵀ"


def write_plainly() -> None:
    """Let standard output and error write what their encoding lacks in plain characters, instead of failing."""
    codecs.register_error("epslab.plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="epslab.plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """The characters that cannot be encoded, in plain ones; what has none is escaped as in Python's source."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    before = error.object[error.start - 1 : error.start]
    raised = re.sub(f"(?<![{_SUPERSCRIPTS}])[{_SUPERSCRIPTS}]+", lambda found: f"^{found[0]}", before + text)
    return "".join(map(_letter, raised.removeprefix(before))), error.end


def _letter(letter: str) -> str:
    if letter in _PLAIN:
        return _PLAIN[letter]
    # A superscript is its digit: the mark of a power stands before the first.
    plain = unicodedata.normalize("NFKD", letter) if letter in _SUPERSCRIPTS else letter
    return plain.replace("−", "-").encode("ascii", "backslashreplace").decode("ascii")
