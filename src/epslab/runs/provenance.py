"""What a run depends on in addition to its settings: versions, commit, command line."""

import os
import platform
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path


def provenance() -> dict[str, object]:
    """Versions, commit and command line of this process."""
    return {
        "versions": {
            "epslab": metadata.version("epslab"),
            "torch": metadata.version("torch"),
            "lightning": metadata.version("lightning"),
            "python": platform.python_version(),
        },
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name, *map(from_here, sys.argv[1:])])
        if sys.argv and sys.argv[0]
        else None,
    }


def from_here(word: str) -> str:
    """A word of a command: an absolute path in the working folder, or next to it, becomes relative to it.

    So what is kept can be repeated after the folder has moved, and says nothing of the machine. Other words stay.
    """
    flag, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    path, here = Path(value), Path.cwd()
    if path.is_absolute() and path.is_relative_to(here):
        value = path.relative_to(here).as_posix()
    elif path.is_absolute() and len(here.parts) > 2 and path.is_relative_to(here.parent):
        value = (Path("..") / path.relative_to(here.parent)).as_posix()
    return f"{flag}{equals}{value}"


def _commit() -> str | None:
    """The commit of epslab's source, with ``+`` if files differ from it; None outside a checkout."""
    here = Path(__file__)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(here.parent), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        ).stdout.strip()

    try:
        # An installed copy inside someone else's repository must not take that repository's commit.
        git("ls-files", "--error-unmatch", here.name)
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no", ".") else "")
    except (OSError, subprocess.SubprocessError):
        return None
