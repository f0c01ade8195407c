"""Tests run on a copy of the source, each in a process of its own: first to see which lines they run, then on errors.

An error is shown only to the tests that run its line, the quickest first: most errors are noticed within seconds.
"""

import inspect
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from mutants.errors import Mutant

ROOT = Path(__file__).parents[2]


@dataclass
class Coverage:
    """Which tests run which lines.

    Args:
        seconds: How long each test takes, by its node id.
        lines: The lines that each test runs, as "path:number"; a file of tests stands for its fixtures.
        imported: The lines that run when a module is imported.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)

    def tests(self, mutant: Mutant) -> list[str]:
        """The tests that can notice an error: of the file where it runs at import, else of its lines; quickest first.

        Fixtures and caches are shared within a file: whatever it runs outside its tests counts for all of them.
        """
        path = str(mutant.path.relative_to(ROOT / "src"))
        own = {f"{path}:{line}" for line in range(mutant.span[0], mutant.span[2] + 1)}
        running = {key for key, lines in self.lines.items() if not own.isdisjoint(lines)}
        if not running or not own.isdisjoint(self.imported):
            running = {key for key, lines in self.lines.items() if any(line.startswith(f"{path}:") for line in lines)}
        chosen = [test for test in self.seconds if test in running or _file(test) in running]
        total = {file: sum(self.seconds[test] for test in chosen if _file(test) == file) for file in map(_file, chosen)}
        return sorted(chosen, key=lambda test: (total[_file(test)], _file(test), self.seconds[test]))


class Copy:
    """A copy of ``src`` to put errors into, one at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "src", folder / "src")  # with what is compiled already

    def covers(self, tests: Sequence[str]) -> Coverage | None:
        """Run these files and folders of tests on the code as it is; None where a test fails."""
        report = self.folder / "coverage.json"
        if not self._passes(list(tests), _Recorder(self.folder / "src", report), float("inf")):
            return None
        return Coverage(**json.loads(report.read_text(encoding="utf-8")))

    def survives(self, mutant: Mutant, coverage: Coverage) -> bool:
        """Whether all tests that run the error pass; those that take far longer than without it have noticed it."""
        tests = coverage.tests(mutant)
        if not tests:
            return True
        original = mutant.path.relative_to(ROOT)
        (self.folder / original).write_text(mutant.source(), encoding="utf-8")
        try:
            seconds = 60 + 2 * sum(coverage.seconds[test] for test in tests)  # measured while lines were recorded
            return self._passes(list(dict.fromkeys(map(_file, tests))), _Chosen(tests), seconds)
        finally:
            shutil.copy2(ROOT / original, self.folder / original)

    def _passes(self, files: list[str], plugin: object, seconds: float) -> bool:
        child = os.fork()  # of a process that has imported torch: each run starts seconds sooner
        if child == 0:
            os.setsid()
            os._exit(_tested(self.folder / "src", files, plugin))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status) == 0
            time.sleep(0.05)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return False


def _file(test: str) -> str:
    return test.partition("::")[0]


def _tested(source: Path, files: list[str], plugin: object) -> int:
    """Run the tests on this source, in this process, silently; pytest's exit code."""
    os.chdir(ROOT)
    sys.path.insert(0, str(source))
    os.environ["PYTHONPATH"] = str(source)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not full and not processes"]
    return int(pytest.main([*options, *files], plugins=[plugin]))


class _Chosen:
    """Keeps these tests, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self.rank = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((item for item in items if item.nodeid in self.rank), key=lambda i: self.rank[i.nodeid])


class _Recorder:
    """Writes a ``Coverage`` of the source's files."""

    def __init__(self, source: Path, report: Path) -> None:
        self.start, self.report = f"{source}/", report
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, set[str]] = {}
        self.imported: set[str] = set()

    def _recording(self, key: str) -> Iterator[None]:
        lines = self.lines.setdefault(key, set())

        def enter(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
            code = frame.f_code
            if not code.co_filename.startswith(self.start):
                return None
            path, ran = code.co_filename[len(self.start) :], lines if code.co_flags & inspect.CO_OPTIMIZED else None

            def line(frame: FrameType, event: str, _: Any) -> Callable[..., Any]:
                (self.imported if ran is None else ran).add(f"{path}:{frame.f_lineno}")
                return line

            return line(frame, event, _)

        before = sys.gettrace()
        sys.settrace(enter)
        try:
            return (yield)
        finally:
            sys.settrace(before)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> Iterator[None]:
        return (yield from self._recording(_file(collector.nodeid)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        return (yield from self._recording(_file(item.nodeid)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        start = time.monotonic()
        try:
            return (yield from self._recording(item.nodeid))
        finally:
            self.seconds[item.nodeid] = time.monotonic() - start

    def pytest_sessionfinish(self) -> None:
        self.report.write_text(
            json.dumps(
                {
                    "seconds": self.seconds,
                    "lines": {key: sorted(lines) for key, lines in self.lines.items()},
                    "imported": sorted(self.imported),
                }
            ),
            encoding="utf-8",
        )
