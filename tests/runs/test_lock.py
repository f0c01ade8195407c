"""A folder has one writer: several real processes want it, one gets it, the others are told who has it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from epslab.errors import UserError
from epslab.runs import Run, lock

LOCK = sys.modules["epslab.runs.lock"]

HOLD = """
import socket, sys, time
from epslab.errors import UserError
from epslab.runs import lock
module = sys.modules["epslab.runs.lock"]
folder, host, lease = sys.argv[1:]
if host:
    socket.gethostname = lambda: host
module._LEASE = float(lease)
try:
    with lock(folder, "training"):
        print("mine", flush=True)
        sys.stdin.read()
except UserError as error:
    print(error, flush=True)
    sys.exit(2)
"""


class Holder:
    """A process that wants the lock, holds it until told to go, and says what came of it."""

    def __init__(self, folder: Path, host: str = "", lease: float = 60.0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder), host, str(lease)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> int:
        self.process.communicate()
        return self.process.returncode


@pytest.fixture
def holders() -> Iterator[list[Holder]]:
    started: list[Holder] = []
    yield started
    for holder in started:
        if holder.process.poll() is None:
            holder.process.kill()
        holder.process.communicate()


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


@pytest.mark.processes
def test_of_several_processes_exactly_one_gets_the_folder(tmp_path: Path, holders: list[Holder]) -> None:
    folder = tmp_path / "runs" / "x"
    holders += [Holder(folder) for _ in range(4)]
    said = [holder.says for holder in holders]
    (winner,) = [holder for holder, words in zip(holders, said, strict=True) if words == "mine"]
    others = [words for words in said if words != "mine"]
    pattern = (
        rf"'{re.escape(str(folder))}' is in use: process {winner.process.pid} on host \S+ has been training in it since"
        r" (\d\d\d\d-\d\d-\d\d )?\d\d:\d\d; wait, or choose another `out=`\."
    )
    assert len(others) == 3
    assert all(re.fullmatch(pattern, words) for words in others), others
    with pytest.raises(UserError, match=f"process {winner.process.pid} on host"), lock(folder, "evaluating"):
        pass
    assert winner.leave() == 0
    assert [holder.leave() for holder in holders if holder is not winner] == [2, 2, 2]
    assert hidden(tmp_path) == []


@pytest.mark.processes
def test_a_killed_holder_lets_the_next_one_in_at_once(tmp_path: Path, holders: list[Holder]) -> None:
    holders.append(Holder(tmp_path))
    assert holders[0].says == "mine"
    holders[0].process.send_signal(signal.SIGKILL)
    holders[0].process.wait()
    assert sorted(hidden(tmp_path)) == [".lock", ".lock.json"]
    with lock(tmp_path, "training"):
        assert json.loads((tmp_path / ".lock.json").read_text())["process"] == os.getpid()
    assert hidden(tmp_path) == []


@pytest.mark.processes
def test_the_lock_of_another_machine_is_taken_over_once_its_holder_shows_no_life(
    tmp_path: Path, holders: list[Holder], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(LOCK, "_LEASE", 3.0)
    holders.append(Holder(tmp_path, "node7", lease=3.0))
    assert holders[0].says == "mine"
    with pytest.raises(UserError, match=rf"process {holders[0].process.pid} on host node7 has been training"):
        lock(tmp_path, "training").__enter__()
    holders[0].process.send_signal(signal.SIGSTOP)
    with lock(tmp_path, "training") as mine:
        assert "Waiting for" in (told := capsys.readouterr().err)
        assert "on host node7" in told
        mine.check()
    holders[0].process.send_signal(signal.SIGKILL)
    assert hidden(tmp_path) == []


@pytest.mark.processes
def test_who_lost_the_lock_to_another_machine_stops(
    tmp_path: Path, holders: list[Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOCK, "_LEASE", 0.3)
    with lock(tmp_path, "training") as mine:
        (tmp_path / ".lock").unlink()  # as a process on another machine does that takes the lock over
        holders.append(Holder(tmp_path, "node7"))
        assert holders[0].says == "mine"
        while not mine.lost:
            time.sleep(0.01)
        with pytest.raises(UserError, match=r"was taken over by process \d+ on host node7 has been training"):
            mine.check()
    assert sorted(hidden(tmp_path)) == [".lock", ".lock.json"]  # they are the other's
    assert holders[0].leave() == 0


def test_a_thread_may_enter_again_and_another_one_may_not(tmp_path: Path) -> None:
    refused: list[str] = []

    def want() -> None:
        try:
            with lock(tmp_path, "evaluating"):
                refused.append("")
        except UserError as error:
            refused.append(str(error))

    with lock(tmp_path, "training"):
        with lock(tmp_path / ".." / tmp_path.name, "evaluating"):
            pass
        with Run(tmp_path).locked("attacking"):
            pass
        thread = threading.Thread(target=want)
        thread.start()
        thread.join()
    want()
    assert [bool(words) for words in refused] == [True, False]
    assert f"process {os.getpid()}" in refused[0]
    assert hidden(tmp_path) == []


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    entered, order = threading.Event(), []

    def hold() -> None:
        with lock(tmp_path, "noting an attack"):
            entered.set()
            time.sleep(0.5)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait()
    with lock(tmp_path, "noting an attack", wait=60.0):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]


def test_folders_in_which_nothing_was_written_are_gone_at_the_end(tmp_path: Path) -> None:
    with lock(tmp_path / "runs" / "x", "training"):
        pass
    assert list(tmp_path.iterdir()) == []
    with lock(tmp_path / "runs" / "x", "training"):
        (tmp_path / "runs" / "x" / "kept").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["runs", "x", "kept"]


def test_an_error_inside_leaves_no_lock(tmp_path: Path) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), lock(tmp_path, "training"):
            raise error
    assert hidden(tmp_path) == []


def test_what_a_machine_without_power_left_is_no_hindrance_to_a_new_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LOCK, "_LEASE", 0.3)
    for name in (".lock", ".lock.json"):
        (tmp_path / name).write_text("")
    run = Run(tmp_path)
    with run.locked("training"):
        Run.create(tmp_path, {})
        Run.create(tmp_path, {}, overwrite=True)
        with pytest.raises(UserError, match="is in use"):
            _other_thread(lambda: lock(tmp_path, "training").__enter__())
    assert hidden(tmp_path) == []


def _other_thread(act: object) -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            act()  # type: ignore[operator]
        except UserError as error:
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if caught:
        raise caught[0]


def test_a_read_only_process_takes_no_lock(tmp_path: Path) -> None:
    with lock(tmp_path, "training"), Run(tmp_path, read_only=True).locked("training") as held:
        held.check()
    with Run(tmp_path / "there", read_only=True).locked("training"):
        assert not (tmp_path / "there").exists()


def test_where_no_lock_can_be_made_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"Cannot write '.*file/run': '.*file' is not a folder that can be written"):
        Run(tmp_path / "file" / "run").locked("training").__enter__()
