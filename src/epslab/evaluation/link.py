"""Connections between the processes of an evaluation, which notice at once when one of them is gone.

A process group waits for a missing member until its timeout, half an hour. A connection ends with the process at its
other end, however that ended, so that those who wait or work can be told within a second.
"""

import contextlib
import json
import queue
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from epslab.errors import UserError

_GONE: Mapping[str, Any] = {"gone": True}


class _Interrupted(BaseException):
    """Work is in vain; no ``except Exception`` of a model or an attack may stop it."""


class Link:
    """The first process's connections to all others, or another process's connection to the first.

    Args:
        sockets: Connected, one per process at the other end.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._inboxes: list[queue.Queue[Mapping[str, Any]]] = [queue.Queue() for _ in sockets]
        self._lock = threading.Lock()
        self._at_work = False
        self._bad_news: Mapping[str, Any] | None = None
        for inbox, end in zip(self._inboxes, sockets, strict=True):
            threading.Thread(target=self._read, args=(end, inbox), daemon=True).start()

    @classmethod
    def between(cls, rank: int, count: int, host: str, broadcast: Callable[[Any], Any]) -> "Link":
        """Connect this process; the first one listens.

        Args:
            rank: Of this process.
            count: Of processes.
            host: The first process's machine, as the others know it.
            broadcast: Gives every process what the first one has.
        """
        if rank:
            return cls([socket.create_connection((host, broadcast(None)))])
        with socket.create_server((host, 0), backlog=count) as server:
            broadcast(server.getsockname()[1])
            return cls([server.accept()[0] for _ in range(count - 1)])

    def tell(self, **message: Any) -> None:
        """Send a message to the other end, or to all of them; to whom is gone it is lost."""
        for end in self._sockets:
            try:
                end.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                continue

    def hear(self) -> list[Mapping[str, Any]]:
        """The next message of every other end, awaited.

        Raises:
            UserError: A process is gone.
        """
        messages = [inbox.get() for inbox in self._inboxes]
        if any("gone" in message for message in messages):
            raise gone()
        return messages

    def during(self, act: Callable[[], None]) -> None:
        """Act, but stop where another process is gone or has failed: at once in the main thread, else at the end.

        Raises:
            UserError: One is or has.
        """
        try:
            with self._interruptible():
                if self._bad_news is None:
                    act()
        except _Interrupted:
            pass
        if self._bad_news is not None:
            raise gone() if "gone" in self._bad_news else failed()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Within it bad news raises ``_Interrupted``, by way of the signal that Ctrl-C sends; Ctrl-C itself stays."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def handle(number: int, frame: FrameType | None) -> None:
            if self._bad_news is not None:
                raise _Interrupted
            if callable(before):
                before(number, frame)

        signal.signal(signal.SIGINT, handle)
        self._at_work = True
        try:
            yield
        finally:
            with self._lock:  # from here on no signal is sent
                self._at_work = False
            with contextlib.suppress(_Interrupted):
                time.sleep(0)  # one that was sent before is seen here
                signal.signal(signal.SIGINT, before)

    def close(self) -> None:
        """End the connections."""
        for end in self._sockets:
            with contextlib.suppress(OSError):  # closed from the other side already
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _read(self, end: socket.socket, inbox: "queue.Queue[Mapping[str, Any]]") -> None:
        """Pass on messages as they come; interrupt the work of this process where it is in vain."""
        try:
            with end.makefile("rb") as lines:
                for line in lines:
                    self._pass_on(json.loads(line), inbox)
        except (OSError, ValueError):  # cut off, within a message or between two
            pass
        self._pass_on(_GONE, inbox)

    def _pass_on(self, message: Mapping[str, Any], inbox: "queue.Queue[Mapping[str, Any]]") -> None:
        with self._lock:
            if message.get("gone") or message.get("failed"):
                self._bad_news = self._bad_news or message
                if self._at_work:
                    self._at_work = False
                    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            inbox.put(message)


def gone() -> UserError:
    """What a process says when another is gone."""
    return UserError(
        "Another process of this evaluation was killed, so this one ends too; what is finished is kept: resume it."
    )


def failed() -> UserError:
    """What a process says when another has failed."""
    return UserError("The evaluation failed in another process, which says why; mend that, and resume.")
