"""One writer per folder: among threads, processes, and machines that share a disk."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError

if TYPE_CHECKING:
    from filelock import SoftFileLease

_NAME, _HOLDER = ".lock", ".lock.json"
_LEASE = 60.0
"""Seconds without a sign of life after which a holder on another machine counts as dead."""
_TRY = 0.2
"""Seconds of an attempt, in which the lock of a dead process of this machine is taken over."""


@dataclass
class Held:
    """A lock that a thread of this process holds.

    Args:
        folder: What is locked.
        lost: Another machine has taken it over, because this process stood still for too long.
    """

    folder: Path
    lost: bool = False
    thread: tuple[int, int] = field(default_factory=lambda: (os.getpid(), threading.get_ident()))

    def check(self) -> None:
        """Make sure that the folder is still this process's to write to.

        Raises:
            UserError: Another process has taken it over.
        """
        if self.lost:
            raise UserError(
                f"'{self.folder}' was taken over by {_told(_holder(self.folder))}, because this process had shown no"
                f" sign of life for {_LEASE:.0f} s; resume when the other process is done."
            )


_held: dict[Path, Held] = {}
_table = threading.Lock()


@contextmanager
def lock(folder: Path | str, doing: str, *, wait: float = 0.0) -> Iterator[Held]:
    """Be the only one that writes to a folder, until the block ends.

    >>> import tempfile
    >>> with lock(tempfile.mkdtemp(), "training"):
    ...     pass  # another process that wants this folder now gets one sentence

    While it is held, the folder has two hidden files: ``.lock``, and ``.lock.json``, which says who holds it. A thread
    that holds the lock may enter it again. The lock of a process that died is taken over: at once if it ran on this
    machine; after a minute without a sign of life if it ran on another one.

    Args:
        folder: Made if need be, and removed again if it is still empty at the end.
        doing: What others are told: "training".
        wait: Seconds to wait for a holder of this machine, before the lock is refused.

    Raises:
        UserError: Another process or thread holds it; the sentence names it.
        OSError: The folder cannot be made or written to.
    """
    place, given = Path(folder).resolve(), Path(folder)
    mine = Held(given)
    with _table:
        known = _held.get(place)
    if known is not None and known.thread == mine.thread:
        yield known
        return
    made = _make(place)
    try:
        with _leased(place, mine, wait), _described(place, doing, mine):
            yield mine
    finally:
        for empty in made:
            with suppress(OSError):
                empty.rmdir()


def of_a_lock(path: Path) -> bool:
    """Whether a file belongs to a lock, not to what its folder holds."""
    return path.name.startswith(_NAME)


@contextmanager
def _leased(place: Path, mine: Held, wait: float) -> Iterator[None]:
    from filelock import SoftFileLease

    def lose(_: object) -> None:
        mine.lost = True

    lease = SoftFileLease(place / _NAME, lease_duration=_LEASE, thread_local=False, on_compromise=lose)
    _acquire(lease, mine.folder, wait)
    try:
        yield
    finally:
        lease.release()


def _acquire(lease: "SoftFileLease", folder: Path, wait: float) -> None:
    """Take the lock; a holder on another machine is watched until it shows a sign of life or its lease ends.

    Raises:
        UserError: The holder is alive.
    """
    from filelock import Timeout
    from rich.console import Console

    start, sign, alive, told = time.monotonic(), _sign_of_life(lease), False, False
    while True:
        try:
            lease.acquire(timeout=_TRY)
        except Timeout:
            holder, waited = _holder(folder, lease), time.monotonic() - start
            alive = alive or _sign_of_life(lease) != sign
            known = bool(holder) and (alive or holder.get("machine") == _machine())
            late = waited >= 2 * _LEASE
            if waited >= wait and (known or (late and alive)):
                raise UserError(f"'{folder}' is in use: {_told(holder)}; wait, or choose another `out=`.") from None
            if late and not known:
                lease.force_break()  # a machine that lost its power can leave a file that names nobody
            if not known and not told and waited > 1:
                told = True
                Console(stderr=True, highlight=False).print(
                    f"Waiting for '{folder}': {_told(holder)}. Without a sign of its life within {_LEASE:.0f} s, its"
                    " lock is taken over.",
                    soft_wrap=True,
                )
        else:
            return


def _sign_of_life(lease: "SoftFileLease") -> int:
    """What changes every few seconds while a holder lives."""
    try:
        return Path(lease.lock_file).stat().st_mtime_ns
    except OSError:
        return 0


@contextmanager
def _described(place: Path, doing: str, mine: Held) -> Iterator[None]:
    """Inside the block others can read who holds the lock, and this thread may enter it again."""
    about = {"process": os.getpid(), "host": socket.gethostname(), "doing": doing, "since": time.time()}
    try:
        # Who reads half of it tries again; a temporary file would outlive a kill.
        (place / _HOLDER).write_text(json.dumps({**about, "machine": _machine()}), encoding="utf-8")
        with _table:
            _held[place] = mine
        yield
    finally:
        with _table:
            _held.pop(place, None)
        if not mine.lost:
            (place / _HOLDER).unlink(missing_ok=True)


def _holder(folder: Path, lease: "SoftFileLease | None" = None) -> dict[str, Any]:
    """What the holder says of itself; empty where it has not said it yet."""
    try:
        holder = dict(json.loads((folder / _HOLDER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    # Between its two files' writing, an earlier holder's description is still there.
    earlier = lease is not None and lease.pid != holder.get("process")
    return {} if earlier else holder


def _told(holder: dict[str, Any]) -> str:
    """The holder in words: "process 123 on host h has been training in it since 14:03"."""
    try:
        since = datetime.fromtimestamp(holder["since"])
        when = f"{since:%H:%M}" if since.date() == datetime.now().date() else f"{since:%Y-%m-%d %H:%M}"
        return f"process {holder['process']} on host {holder['host']} has been {holder['doing']} in it since {when}"
    except (KeyError, TypeError, ValueError, OverflowError):
        return "another process holds its lock"


def _machine() -> str:
    """This machine, or this container: where a process number means one process."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname()}/{namespace}"


def _make(place: Path) -> list[Path]:
    """Make the folder; returns those that were not there, deepest first."""
    missing = [folder for folder in (place, *place.parents) if not folder.exists()]
    place.mkdir(parents=True, exist_ok=True)
    return missing
