"""Pictures with their captions and their order: ``NAME.png`` files and ``index.json`` in one folder."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError
from epslab.files import write_atomic
from epslab.runs import earlier
from epslab.runs.png import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAME = re.compile(r"[^./\\\s\x00-\x1f][^/\\\x00-\x1f]{0,199}")


@dataclass(frozen=True)
class Picture:
    """A picture of a run.

    Args:
        name: Its file's name without ``.png``.
        path: The file.
        caption: What to see in it.
        alt: A description for readers who cannot see it; the caption if empty.
        of: The weights and the data it shows (``Run.bound``); empty if that does not change or is unknown.
    """

    name: str
    path: Path
    caption: str
    alt: str = ""
    of: Mapping[str, Any] = field(default_factory=dict)


def save_picture(
    folder: Path,
    name: str,
    figure: "Figure | bytes",
    caption: str,
    *,
    alt: str = "",
    order: int | float | None = None,
    of: Mapping[str, object] | None = None,
) -> Path:
    """Write ``folder/NAME.png`` and note it in ``folder/index.json``; returns the file.

    Args:
        folder: It is made if it does not exist.
        name: A file name without ``.png``, e.g. "samples-2". It replaces an earlier picture of this name.
        figure: A matplotlib figure, or the bytes of a PNG.
        caption: What to see in it, a sentence.
        alt: A description for readers who cannot see it.
        order: Pictures with an order come first, the smallest order first; then the others, in the order they were
            first saved.
        of: The weights and the data it shows (``Run.bound``).

    Raises:
        UserError: The name is no file name, or the bytes are no PNG.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"'{name}' cannot name a picture; give a file name without '/', e.g. 'samples-2'.")
    data = png(figure)
    folder.mkdir(parents=True, exist_ok=True)
    index = _index(folder)
    given = {"alt": alt or None, "order": order, "of": of or None}
    index[name] = {"caption": caption, **{key: value for key, value in given.items() if value is not None}}
    path = folder / f"{name}.png"
    write_atomic(path, data)
    write_atomic(folder / "index.json", json.dumps(index, indent=2, ensure_ascii=False) + "\n")
    return path


def pictures_in(folder: Path) -> list[Picture]:
    """The pictures of a folder in their order; files that the index does not know come last, by name.

    Raises:
        UserError: ``index.json`` cannot be read.
    """
    index = _index(folder)
    paths = {path.stem: path for path in sorted(folder.glob("*.png"))} if folder.is_dir() else {}
    known = [name for name in index if name in paths]
    known.sort(key=lambda name: (index[name].get("order") is None, index[name].get("order") or 0))
    found = [
        Picture(name, paths[name], str(entry.get("caption", name)), str(entry.get("alt", "")), entry.get("of") or {})
        for name, entry in ((name, index[name]) for name in known)
    ]
    captions = earlier.captions([name for name in paths if name not in index])
    return found + [Picture(name, paths[name], caption) for name, caption in captions.items()]


def _index(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / "index.json"
    if not path.exists():
        return {}
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): dict(entry) for name, entry in index.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"Cannot read '{path}' as the captions of pictures; delete it, or evaluate again.") from error
