"""Global state that training changes for a time: random generators, signals, logging."""

import ctypes
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import torch

from epslab import seeds
from epslab.lightning import PossibleUserWarning


def reseed(device: torch.device, seed: int, *names: str | int) -> None:
    """Set torch's global generators from the seed and these names, so that dropout replays after a resume."""
    number = seeds.stream(seed, *names)
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index].manual_seed(number)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning reports errors only: no tips, no devices, no advice on workers or logging intervals."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        # Advice for the author of a Lightning script, e.g. that there is a GPU when the CPU was asked for.
        warnings.simplefilter("ignore", PossibleUserWarning)
        # Lightning 2.6's own use of a class that torch 2.13 deprecates.
        warnings.filterwarnings("ignore", r".*LeafSpec.* is deprecated", FutureWarning)
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def keep_freed_memory() -> None:
    """Let glibc keep the memory a step frees for the next step; other C libraries are left alone.

    Otherwise it returns large blocks to the system at once and requests them again in every step, with a page fault per
    4 kB: a fifth of the time of a small convolutional net's step. The setting stays for the rest of the process.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        m_trim_threshold, m_mmap_threshold = -1, -3  # malloc.h
        mallopt(m_trim_threshold, 1 << 30)
        mallopt(m_mmap_threshold, 32 << 20)  # the largest it takes


def catch_signals(act: Callable[[int], None]) -> None:
    """Let SIGINT (Ctrl-C), SIGTERM and SIGUSR1 call ``act``, so that training can stop after a complete batch.

    A second Ctrl-C raises ``KeyboardInterrupt`` at once. Signals can only be caught in the main thread; elsewhere this
    does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        act(number)

    for number in _signals():
        signal.signal(number, handle)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Restore the handlers of these signals at the end."""
    before = {number: signal.getsignal(number) for number in _signals()}
    try:
        yield
    except SystemExit as end:
        # Lightning turns the second Ctrl-C into an exit of the whole program.
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)


def pass_on(number: int | None) -> None:
    """End the program by a signal that training has caught, if that is what the signal does without training.

    Ctrl-C is not passed on: whoever presses it looks at the run next.
    """
    main = threading.current_thread() is threading.main_thread()
    if number not in (None, signal.SIGINT) and main and signal.getsignal(number) is signal.SIG_DFL:
        signal.raise_signal(number)


def _signals() -> list[int]:
    """The signals that ask for an end; Windows has no SIGUSR1."""
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]
