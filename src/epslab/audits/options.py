"""Which attacks are asked for, and with which options: ``--attacks fgsm,pgd:steps=100,restarts=5``, or a YAML file.

Parts are separated by commas. A part ``name=value`` is an option of the attack before it, the first one follows a
colon; every other part is an attack: a name of ``epslab.attacks.ATTACKS``, or ``package.module:Name``. In a file, each
key is what the results call an attack; its value holds the options, and ``attack`` where the key is not the name::

    pgd: {steps: 100, restarts: 5}
    on-the-margin: {attack: pgd, objective: margin}
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from epslab.errors import UserError

_LONGEST = 80
"""Characters of a folder's name that say which attacks."""
_OPTION = re.compile(r"([A-Za-z_][\w-]*)\s*=\s*(.*)", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """An attack that is asked for.

    >>> [choice.key for choice in parse_attacks("fgsm,pgd:steps=100,restarts=5,apgd")]
    ['fgsm', 'pgd', 'apgd']

    Args:
        key: What the results call it: the last part of its name, with a number from the second time on.
        name: Of ``epslab.attacks.ATTACKS``, or an import path.
        options: Its settings, as they were written.
    """

    key: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        """The attack as a command line writes it: ``pgd:steps=100,restarts=5``."""
        own = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}:{own}" if own else self.name

    @property
    def words(self) -> str:
        """The same, after what the results call it where that is another name: ``strong (pgd:steps=100)``."""
        return str(self) if self.key == _short(self.name) else f"{self.key} ({self})"


def is_file(text: str) -> bool:
    """Whether this names a YAML file rather than attacks."""
    return text.strip().endswith((".yaml", ".yml"))


def parse_attacks(text: str) -> list[Choice]:
    """The attacks of a command line: names with options, or a file that ends with .yaml or .yml.

    Raises:
        UserError: An option without an attack, an option or an attack given twice, or a file that cannot be read so.
    """
    if is_file(text):
        return _read(Path(text.strip()))
    found: list[tuple[str, dict[str, str]]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, option = _split(part)
        if name:
            found.append((name, {}))
        elif not found:
            raise UserError(f"'{part}' is an option without an attack; write it after one, e.g. pgd:{part}.")
        if option is not None:
            key, value = option
            if key in found[-1][1]:
                raise UserError(f"The attack '{found[-1][0]}' is given '{key}' twice; give it once.")
            found[-1][1][key] = value
    choices: list[Choice] = []
    for name, own in found:
        if any((name, own) == (other.name, other.options) for other in choices):
            raise UserError(f"The attack '{name}' is named {found.count((name, own))} times; name it once.")
        same = sum(name == other.name for other in choices)
        choices.append(Choice(f"{_short(name)}-{same + 1}" if same else _short(name), name, own))
    return choices


def label(text: str, choices: Sequence[Choice], *, worst_case: bool = False) -> str:
    """What a folder calls these attacks: as they were written, or in short where they stand in a file or are long.

    The short form ends with a hash of all that is asked for, so that another file of the same name has another folder.
    """
    words = ("+" if worst_case else "-").join(map(str, choices))
    if is_file(text):
        short = Path(text.strip()).stem
    elif len(words) <= _LONGEST:
        return words
    else:
        short = "-".join(choice.key for choice in choices)[:_LONGEST]
    every = [(choice.key, str(choice)) for choice in choices]
    return f"{short}-{hashlib.sha256(repr((every, worst_case)).encode()).hexdigest()[:6]}"


def _read(path: Path) -> list[Choice]:
    """The attacks of a YAML file.

    Raises:
        UserError: There is no such file, or it is not a mapping of attacks to options.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"'{path}' cannot be read ({error.strerror}); give `attacks=` names or a YAML file.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(
            f"'{path}' is no YAML file ({str(error).splitlines()[0]}); write 'pgd: {{steps: 100}}'."
        ) from error
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"'{path}' holds no attacks but {_kind(content)}; write a line per attack: 'pgd: {{steps: 100}}'."
        )
    choices = []
    for key, own in content.items():
        if not isinstance(own, dict | None):
            raise UserError(f"'{path}' gives '{key}' {_kind(own)}; write its options as a mapping: {{steps: 100}}.")
        options = {str(name).replace("-", "_"): value for name, value in (own or {}).items()}
        choices.append(Choice(str(key), str(options.pop("attack", key)), options))
    return choices


def _short(name: str) -> str:
    """The last part of an import path, or the name itself, as a file may be called."""
    return re.sub(r"[^\w.+-]", "_", name.rpartition(":")[2])


def _split(part: str) -> tuple[str, tuple[str, str] | None]:
    """An attack's name ("" where there is none) and an option, of one part between commas."""
    if match := _OPTION.fullmatch(part):
        return "", (match[1].replace("-", "_"), match[2])
    before, equals, _ = part.partition("=")
    if not equals:
        return part, None
    name, _, _ = before.rpartition(":")
    match = _OPTION.fullmatch(part[len(name) + 1 :])
    if not name or match is None:
        raise UserError(f"'{part}' is neither an attack nor an option; write e.g. pgd:steps=100,restarts=5.")
    return name, (match[1].replace("-", "_"), match[2])


def _kind(content: object) -> str:
    if content is None:
        return "nothing"
    return "a list" if isinstance(content, list) else f"'{content}'"
