"""Connections between the processes of an evaluation, which notice at once when one of them is gone.

A process group waits for a missing member until its timeout, half an hour. A connection ends with the process at its
other end, however that ended, so that the others can stop within a second.
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

KILLED = "Another process of this evaluation was killed, so this one ends too; what is finished is kept: resume it."
FAILED = "The evaluation failed in another process, which says why; mend that, and resume."


class _Interrupted(BaseException):
    """This process's work has become useless; no ``except Exception`` of a model or an attack may stop it."""


class Link:
    """The first process's connections to all others, or another process's connection to the first.

    Args:
        sockets: Connected, one per process at the other end.
    """

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._sockets = sockets
        self._inboxes: list[queue.Queue[Mapping[str, Any] | None]] = [queue.Queue() for _ in sockets]
        self._lock = threading.Lock()
        self._at_work = False
        self._bad_news: str | None = None
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
        """Send a message to the other end, or to all of them; a process that is gone does not get it."""
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> list[Mapping[str, Any]]:
        """Wait for the next message of every other end.

        Raises:
            UserError: A process is gone.
        """
        messages = [message for inbox in self._inboxes if (message := inbox.get()) is not None]
        if len(messages) < len(self._inboxes):
            raise UserError(KILLED)
        return messages

    def during(self, act: Callable[[], None]) -> None:
        """Act, but stop where another process is gone or has failed: at once in the main thread, else at the end.

        Raises:
            UserError: One is or has.
        """
        with contextlib.suppress(_Interrupted), self._interruptible():
            if self._bad_news is None:
                act()
        if self._bad_news is not None:
            raise UserError(self._bad_news)

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Within it bad news raises ``_Interrupted``, through the signal that Ctrl-C sends; Ctrl-C works as before."""
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

    def _read(self, end: socket.socket, inbox: "queue.Queue[Mapping[str, Any] | None]") -> None:
        """Pass on messages as they come, at the end None; interrupt this process's work when it is useless."""
        with contextlib.suppress(OSError, ValueError), end.makefile("rb") as lines:  # cut off, also within a message
            for line in lines:
                message = json.loads(line)
                self._pass_on(inbox, message, FAILED if message.get("failed") else None)
        self._pass_on(inbox, None, KILLED)

    def _pass_on(self, inbox: "queue.Queue[Mapping[str, Any] | None]", message: Any, bad_news: str | None) -> None:
        with self._lock:
            self._bad_news = self._bad_news or bad_news
            if self._bad_news and self._at_work:
                self._at_work = False
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            inbox.put(message)
