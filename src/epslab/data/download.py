"""Downloads over a bad network: several mirrors, resumed after a cut, checked at the end."""

import hashlib
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from epslab.errors import UserError

_CHUNK = 1 << 16
_TIMEOUT = 30.0
_ATTEMPTS = 5

Report = Callable[[int, int | None], None]
"""Called with the bytes received so far, and the total if the server gives it."""


def download(urls: Sequence[str], target: Path, install: Callable[[Path], None], by_hand: str) -> None:
    """Download a file from the first of several mirrors that has it.

    What has arrived is kept in ``TARGET.<mirror>.part`` (one for each mirror, since mirrors compress differently) and
    resumed by HTTP Range after a cut or in a later call; a server without Range sends it again from the start.

    Args:
        urls: The same file's addresses, best first.
        target: Where the file belongs; the folder is made.
        install: Checks a complete download and moves its content into place; raises ``UserError`` when it is not what
            was wanted, and the next mirror is tried.
        by_hand: What the user can do without a network, as the end of a sentence.

    Raises:
        UserError: No mirror delivered (every reason is named), or the folder cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"'{target.parent}' cannot be made ({error.strerror}): choose another place by `root=` or EPSLAB_DATA."
        ) from error
    reasons = []
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(target.name, total=None)

        def report(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        for url in urls:
            mark = hashlib.blake2b(url.encode(), digest_size=4).hexdigest()
            reason = _from_mirror(url, target.with_name(f"{target.name}.{mark}.part"), install, report)
            if reason is None:
                for part in target.parent.glob(f"{target.name}.*.part"):
                    part.unlink()
                return
            reasons.append(f"{url}: {reason}")
    raise UserError(
        f"{target.name} could not be downloaded ({'; '.join(reasons)}): try again with a network, or {by_hand}."
    )


def _from_mirror(url: str, part: Path, install: Callable[[Path], None], report: Report) -> str | None:
    """Try one mirror; the reason why it failed, or None."""
    resumed = part.exists()
    reason = _receive_all(url, part, report)
    if reason is not None:
        return reason
    try:
        install(part)
    except UserError:
        part.unlink()
        # An old part may belong to another version of the file: once more from the start.
        return _from_mirror(url, part, install, report) if resumed else "what it sent is not the official file"
    except OSError as error:
        return f"its file cannot be put into place, {error.strerror}"
    return None


def _receive_all(url: str, part: Path, report: Report) -> str | None:
    """Receive until complete, resuming after cuts while there is progress; the reason of failure, or None."""
    reason = ""
    for _ in range(_ATTEMPTS):
        before = _size(part)
        try:
            _receive(url, part, report)
            return None
        except HTTPError as error:
            error.close()
            return f"HTTP {error.code} {error.reason}"
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        if _size(part) <= before:
            break
    return reason


def _receive(url: str, part: Path, report: Report) -> None:
    """Append the rest of the file to the part; if the server ignores Range, start from the beginning."""
    have = _size(part)
    headers = {"User-Agent": "epslab", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT)
    except HTTPError as error:
        # "Range not satisfiable": nothing is left to send.
        if error.code == 416 and have:
            error.close()
            return
        raise
    with response:
        resumes = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        done = have if resumes else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if resumes else "wb") as file:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                report(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection was cut after {done:,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
