"""Flags from types: jsonargparse, with epslab's spelling, help and one-sentence errors."""

import argparse
import difflib
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser, DefaultHelpFormatter, set_parsing_settings

from epslab.errors import UserError
from epslab.names import Names

set_parsing_settings(docstring_parse_attribute_docstrings=True)

_RENAMED = {"num_nodes": "nodes"}  # old runs have it in their config.yaml
_METAVARS = {"int": "N", "float": "X", "str": "TEXT"}
_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "NoneType": "null",
    "list": "a list such as [1, 2]",
    "tuple": "a list such as [1, 2]",
    "dict": "a mapping",
}


class Parser(ArgumentParser):
    """One verb's flags; hyphens and underscores in a flag are the same.

    In code a flag has underscores, ``add_argument("--data_root")``, as jsonargparse makes it from a field; whatever
    the user reads has hyphens.

    Args:
        verb: What follows ``epslab``, e.g. ``"train vae"``.
        description: What the verb does.
        example: A command worth trying.
    """

    def __init__(self, verb: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"epslab {verb}",
            usage=f"epslab {verb} [options]",
            description=description,
            epilog=f"example:\n  {example}",
            formatter_class=_Help,
            exit_on_error=False,
            allow_abbrev=False,
            print_config=None,
        )

    def format_help(self, formatter: argparse.HelpFormatter | None = None) -> str:
        """The help, flags with hyphens."""
        return re.sub(r"(?<![\w-])--[a-z0-9_]+", lambda flag: _hyphens(flag[0]), super().format_help(formatter))

    def read(self, words: Sequence[str], settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The values of all flags.

        Args:
            words: The command line after the verb.
            settings: Values that stand in for the defaults, by flag (underscores); ``words`` override them.

        Raises:
            UserError: An unknown flag, or a value of another type.
        """
        words = [re.sub(r"^--[^=]+", lambda flag: f"--{_current(flag[0][2:])}", word) for word in words]
        settings = {_current(name): value for name, value in (settings or {}).items()}
        for word in words:
            if word.startswith("--"):
                self._require_known(word.partition("=")[0][2:])
        for name in settings:
            self._require_known(name)
        try:
            start = self.parse_object(dict(settings)) if settings else None
            return dict(vars(self.parse_args(words, namespace=start)))
        except ArgumentError as error:
            raise UserError(self._sentence(str(error))) from error

    def _require_known(self, name: str) -> None:
        known = list(self.get_defaults().keys())
        if name in known or name == "help":
            return
        nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        suggestion = f" Did you mean '{_hyphens('--' + nearest[0])}'?" if nearest else ""
        raise UserError(f"Unknown flag '{_hyphens('--' + name)}'.{suggestion} `{self.prog} --help` lists them all.")

    def _sentence(self, message: str) -> str:
        if key := re.match(r'Parser key "(.+?)":', message):
            value = re.findall(r"(?:Got value|Given value): (.*)", message)
            flag = _hyphens(f"-{key[1]}" if len(key[1]) == 1 else f"--{key[1]}")
            return f"{flag} must be {_expected(message)}, not '{value[-1] if value else ''}'.{_nearest(message, value)}"
        if missing := re.match(r"argument (\S+): expected .*argument", message):
            return f"{_hyphens(missing[1].split('/')[-1])} needs a value; see `{self.prog} --help`."
        if required := re.match(r"the following arguments are required: (.*)", message):
            shown = {action.dest: str(action.metavar) for action in self._actions}
            names = ", ".join(shown.get(name, name.upper()) for name in required[1].split(", "))
            return f"`{self.prog}` needs {names}; see `{self.prog} --help`."
        if ignored := re.match(r"argument (\S+): ignored explicit argument '(.*)'", message):
            return f"{_hyphens(ignored[1].split('/')[-1])} takes no value; leave '{ignored[2]}' out."
        if unrecognised := re.match(r"[Uu]nrecognized arguments: (.*)", message):
            return f"`{self.prog}` does not take '{unrecognised[1]}'; `{self.prog} --help` lists its options."
        return message


def _data_sets() -> str:
    """The data sets of images by name, and those of installed packages; nothing is imported."""
    return ", ".join(Names("epslab.data", dict.fromkeys(("digits", "mnist", "fashion-mnist", "cifar10", "shapes"), "")))


class _Help(DefaultHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help with the default after each flag, and no types: the text says the unit.

    ``{data_sets}`` in a text stands for the names of the data sets.
    """

    def _get_help_string(self, action: argparse.Action) -> str:
        text, default = (action.help or "").replace("{data_sets}", _data_sets()), action.default
        if not action.option_strings or default is None or default is False or default is argparse.SUPPRESS:
            return text
        return f"{text.removesuffix('.')} (default: {list(default) if isinstance(default, tuple) else default})"

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        # jsonargparse gives a flag of a list a second form that appends, --devices+.
        return re.sub(r", --\w+\+.*", "", super()._format_action_invocation(action))

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        words = (self._get_type_str(action) or "").split()
        return _METAVARS.get(words[0], "VALUE") if words else "VALUE"


def _expected(message: str) -> str:
    types = re.findall(r"Expected an? (<class '([\w.]+)'>|typing\.Literal\[(.*?)\])", message)
    words = [f"one of {choices}" if choices else _TYPES.get(name, name) for _, name, choices in types]
    return " or ".join(dict.fromkeys(words)) or "of another type"


def _nearest(message: str, value: list[str]) -> str:
    choices = re.findall(r"'(\w[^']*)'", " ".join(re.findall(r"Literal\[(.*?)\]", message)))
    nearest = difflib.get_close_matches(value[-1], choices, n=1, cutoff=0.5) if value else []
    return f" Did you mean '{nearest[0]}'?" if nearest else ""


def _current(name: str) -> str:
    """The name of a flag with underscores; a former name becomes the present one."""
    name = name.replace("-", "_")
    return _RENAMED.get(name, name)


def _hyphens(flag: str) -> str:
    return flag.replace("_", "-")


def positional(words: Sequence[str]) -> str | None:
    """The first word that is neither a flag nor the value of the flag before it, where every flag takes a value."""
    for i, word in enumerate(words):
        before = words[i - 1] if i else ""
        if not word.startswith("-") and not (before.startswith("-") and "=" not in before):
            return word
    return None


def value_of(flag: str, words: Sequence[str]) -> str | None:
    """The value ``words`` give a flag, read before its parser can be built; None where they give none."""
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == f"--{flag}":
            return value if equals else next(iter(words[i + 1 :]), None)
    return None
