"""An evaluation killed at any moment, and one on two processes, give the report of an undisturbed one."""

import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from robust_samples import (
    ATTACKS,
    Linear,
    digits,
    evaluate,
    evaluate_and_die,
    evaluated,
    few,
    linear_task,
    trained,
    wait_as,
)
from safetensors.torch import load_file
from torch import Tensor, nn

from epslab.attacks import FGSM, PGD
from epslab.errors import UserError
from epslab.evaluation import RadiusSweep, RobustnessReport, evaluate_robustness, robustness
from epslab.evaluation.findings import evidence
from epslab.evaluation.processes import Processes
from epslab.geometry import Linf
from epslab.runs import lock
from epslab.types import Images, Logits

SCRIPT = Path(__file__).with_name("robust_samples.py")
REPORT = ("robustness.json", "robustness.csv", "sweep.csv", "examples.csv")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RobustnessReport]:
    """The folder of a finished evaluation, and its report."""
    folder = tmp_path_factory.mktemp("finished") / "new" / "folder"
    return folder, evaluate(folder)


@pytest.fixture
def folder(finished: tuple[Path, RobustnessReport], tmp_path: Path) -> Path:
    """A copy of the finished folder, to change."""
    return Path(shutil.copytree(finished[0], tmp_path / "copy"))


def test_a_folder_holds_images_and_numbers_of_every_example(finished: tuple[Path, RobustnessReport]) -> None:
    folder, report = finished
    files = sorted((folder / "results/attacks/pgd").iterdir())
    assert [file.stem for file in files] == ["000000000", "000000020", "000000040", "000000060"]
    parts = [load_file(file) for file in files]
    whole: dict[str, Tensor] = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    x, y = digits()
    assert whole["indices"].tolist() == list(range(70))
    assert whole["images"].dtype == torch.float32
    assert whole["pixels"].dtype == torch.uint8
    assert (Linf(0.1).distance(whole["images"], x[:70]) <= 0.1).all()
    assert torch.equal(trained()(whole["images"]).argmax(1), whole["prediction"])
    assert torch.equal(whole["prediction"] == y[:70], whole["right"])
    result = report.attacks["pgd"]
    for name in ("queries", "gradients", "distance", "claimed"):
        assert torch.equal(whole[name], getattr(result, name))
    assert torch.equal(report.adversarial("pgd", [69, 3]), whole["images"][[69, 3]])
    with pytest.raises(UserError, match="no example 70"):
        report.adversarial("pgd", [70])
    assert all((folder / name).exists() for name in REPORT)
    assert not [path for path in folder.rglob(".*") if path.is_file()]


def test_a_finished_evaluation_is_read_back_without_an_attack(
    finished: tuple[Path, RobustnessReport], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = finished[1]
    before = contents(folder)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("attacked again")

    monkeypatch.setattr(FGSM, "__call__", refuse)
    monkeypatch.setattr(PGD, "__call__", refuse)
    second = evaluate(folder, resume=True)
    assert second.to_dict() == first.to_dict()
    assert second.examples() == first.examples()
    assert contents(folder) == before


def test_a_part_left_by_another_batch_size_is_used(folder: Path) -> None:
    for file in sorted((folder / "results/attacks/fgsm").iterdir())[1:3]:
        file.unlink()
    told: list[tuple[str, int]] = []

    def on_batch(job: str, examples: int, right: int | None, fresh: bool) -> None:
        if fresh:
            told.append((job, examples))

    evaluate(folder, resume=True, batch_size=16, on_batch=on_batch)
    assert told == [("attacks/fgsm", 16)] * 3  # 16..31, 32..47, 48..63, of which what was missing
    # A batch around what there is: its file holds examples before and after.
    for first in (0, 32):
        (folder / "results" / "attacks" / "fgsm" / f"{first:09d}.safetensors").unlink()
    again = evaluate(folder, resume=True, batch_size=100, on_batch=on_batch)
    assert told[3:] == [("attacks/fgsm", 70)]
    whole = evaluated()
    assert again.examples().columns == whole.examples().columns
    for a, b in zip(again.examples().rows, whole.examples().rows, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"seed": 5}, "seed"),
        ({"sweep": None}, "sweep"),
        ({"findings": True}, "findings"),
        ({"attacks": ATTACKS | {"pgd": PGD(Linf(0.1), steps=6)}}, "attacks"),
        ({"attacks": {"noise": ATTACKS["noise"]}}, "attacks"),
        ({"model": "other"}, "model"),
        ({"images": "other"}, "images"),
        ({"labels": "other"}, "labels"),
    ],
)
def test_a_folder_of_another_evaluation_is_refused(change: dict[str, Any], name: str, tmp_path: Path) -> None:
    model, x, y = linear_task()
    arguments: dict[str, Any] = {
        "model": model,
        "images": x,
        "labels": y,
        "attacks": ATTACKS,
        "sweep": RadiusSweep(attack=FGSM),
        "findings": False,
    }
    evaluate_robustness(out=tmp_path, **arguments)
    before = contents(tmp_path)
    others = {"model": Linear(model.weight.detach() * 1.001), "images": x * 0.999, "labels": 1 - y}
    change = {key: others[key] if isinstance(value, str) else value for key, value in change.items()}
    with pytest.raises(UserError, match=rf"holds an evaluation with other settings, {name} \("):
        evaluate_robustness(out=tmp_path, resume=True, **(arguments | change))
    assert contents(tmp_path) == before


def test_a_folder_in_use_or_of_other_things_is_refused(tmp_path: Path) -> None:
    model, x, y = linear_task()
    arguments: dict[str, Any] = {"attacks": {"fgsm": FGSM(Linf(0.1))}, "sweep": None, "findings": False}
    evaluate_robustness(model, x, y, out=tmp_path / "used", **arguments)
    with pytest.raises(UserError, match="already holds an evaluation: carry it on with resume"):
        evaluate_robustness(model, x, y, out=tmp_path / "used", **arguments)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    for resume in (False, True):
        with pytest.raises(UserError, match=r"holds other things \(thesis.tex\)"):
            evaluate_robustness(model, x, y, out=tmp_path / "other", resume=resume, **arguments)
    with pytest.raises(UserError, match="cannot be used for results"):
        evaluate_robustness(model, x, y, out=tmp_path / "other" / "thesis.tex", **arguments)
    (tmp_path / "used" / "evaluation.json").write_text("{")
    with pytest.raises(UserError, match="cannot be used for results"):
        evaluate_robustness(model, x, y, out=tmp_path / "used", resume=True, **arguments)


class Wrapper(nn.Module):
    """A net, its images scaled by a plain attribute, and whatever else it may hold."""

    def __init__(self, net: nn.Module, std: float, held: object = None) -> None:
        super().__init__()
        self.net, self.std, self.held = net, std, held

    def forward(self, images: Images) -> Logits:
        logits: Tensor = self.net(images / self.std)
        return logits


def test_resume_tells_models_apart_by_plain_attributes_and_constants(tmp_path: Path) -> None:
    net, x, y = linear_task()
    arguments: dict[str, Any] = {"attacks": {"fgsm": FGSM(Linf(0.1))}, "sweep": None, "findings": False}
    pairs: list[tuple[Any, Any]] = [
        (Wrapper(net, 1.0), Wrapper(net, 1.1)),
        (lambda x: net(x * 1.0), lambda x: net(x * 0.9)),
    ]
    for number, (model, other) in enumerate(pairs):
        out = tmp_path / str(number)
        evaluate_robustness(model, x, y, out=out, **arguments)
        evaluate_robustness(model, x, y, out=out, resume=True, **arguments)
        with pytest.raises(UserError, match=r"holds an evaluation with other settings, model \("):
            evaluate_robustness(other, x, y, out=out, resume=True, **arguments)


def test_what_cannot_be_compared_is_evaluated_but_not_resumed(tmp_path: Path) -> None:
    net, x, y = linear_task()
    arguments: dict[str, Any] = {"attacks": {"fgsm": FGSM(Linf(0.1))}, "sweep": None, "findings": False}
    model = Wrapper(net, 1.0, threading.Lock())
    evaluate_robustness(model, x, y, out=tmp_path / "new", resume=True, **arguments)
    with pytest.raises(UserError, match=r"cannot be resumed: the model holds a _thread.lock, .*; keep it out"):
        evaluate_robustness(model, x, y, out=tmp_path / "new", resume=True, **arguments)


def test_a_folder_of_an_earlier_version_is_not_resumed_and_left_as_it_is(tmp_path: Path) -> None:
    """Its fingerprints did not tell every model from another, so that what it holds may be of another one."""
    model, x, y = linear_task()
    attacks = {"pgd": PGD(Linf(0.1), steps=5)}
    evaluate_robustness(model, x, y, attacks, sweep=None, findings=False, out=tmp_path)
    earlier = {
        "model": "robust_samples.Linear 6ec9a6018fe273b35e3ff792ef3ecad8",
        "images": "float32[40, 3, 2, 2] 48e242651d4ebc1838e034be3cf2535a",
        "labels": "int64[40] 677e9777722a45d26cb973df7e51a3c6",
        "attacks": {"pgd": "epslab.attacks.gradient.PGD(ball=epslab.geometry.Ball(norm='linf', radius=0.1))"},
        "seed": 0,
        "sweep": None,
        "findings": False,
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(earlier))
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r"begun by another version of epslab.*can be read and reported, but not res"):
        evaluate_robustness(model, x, y, attacks, sweep=None, findings=False, out=tmp_path, resume=True)
    assert contents(tmp_path) == before


def test_a_damaged_file_is_named(folder: Path) -> None:
    file = folder / "results" / "attacks" / "pgd" / "000000020.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match=r"000000020.safetensors' is damaged .*: delete it, and resume"):
        evaluate(folder, resume=True)
    file.unlink()
    assert evaluate(folder, resume=True).to_dict() == evaluated().to_dict()


def test_a_random_model_repeats_its_answers_on_resume(tmp_path: Path) -> None:
    """Its draws are from torch's generator, which is set before each batch."""
    _, x, y = linear_task()
    weight = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))

    def noisy(images: Images) -> Logits:
        return (images + 0.2 * torch.randn_like(images)).flatten(1) @ weight

    arguments: dict[str, Any] = {
        "attacks": {"fgsm": FGSM(Linf(0.1))},
        "batch_size": 10,
        "sweep": None,
        "findings": False,
    }
    first = evaluate_robustness(noisy, x, y, out=tmp_path, **arguments)
    for file in ("clean/000000010", "attacks/fgsm/000000030"):
        (tmp_path / "results" / f"{file}.safetensors").unlink()
    torch.rand(5)
    again = evaluate_robustness(noisy, x, y, out=tmp_path, resume=True, **arguments)
    assert again.examples() == first.examples()


# --- kills and processes


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Starts processes to kill: a server that has imported torch once forks them."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["robust_samples"])
    return context


@pytest.mark.processes
def test_an_evaluation_killed_while_writing_resumes_to_the_same_files(tmp_path: Path, context: Any) -> None:
    evaluate(tmp_path / "whole", n=30)
    reference = contents(tmp_path / "whole")
    # The first of all files; a batch of noise; two later; one of the sweep, and the report.
    for kill in (1, 4, 3, 4, 2):
        process = context.Process(target=evaluate_and_die, args=(tmp_path / "parts", kill), kwargs={"n": 30})
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        assert (tmp_path / "parts").is_dir()
    assert contents(tmp_path / "parts") != reference
    evaluate(tmp_path / "parts", n=30, resume=True)
    assert contents(tmp_path / "parts") == reference


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, "subprocess.Popen[str]"]]:
    """Two processes, started by Fabric: they evaluate, write down what they saw, and begin what never ends."""
    out = tmp_path_factory.mktemp("pair")
    first = subprocess.Popen(
        [sys.executable, "-W", "error", str(SCRIPT), str(out)], stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(out.glob("begun-*"))) == 2 or first.poll() is not None, 240)
        assert first.poll() is None, first.communicate()[1]
        yield out, first
    finally:
        kill_all(out)
        first.communicate(timeout=30)


@pytest.mark.processes
def test_two_processes_share_the_work_and_agree(
    pair: tuple[Path, "subprocess.Popen[str]"], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "reference_attacks", few)
    told: Counter[str] = Counter()
    one = evaluate(
        tmp_path / "one", n=50, findings=True, on_batch=lambda job, n, right, fresh: told.update({job: n})
    )  # fmt: skip
    two = contents(pair[0] / "two")
    shares = [json.loads(two.pop(f"share-{rank}.json")) for rank in (0, 1)]
    refusals = [sentences for _, _, sentences in shares]
    assert [report for report, _, _ in shares] == [json.loads(json.dumps(one.to_dict()))] * 2
    assert two.keys() == contents(tmp_path / "one").keys()
    assert Counter(shares[0][1]) + Counter(shares[1][1]) == told
    assert min(len(share) for _, share, _ in shares) > 4
    assert two["examples.csv"] == (tmp_path / "one" / "examples.csv").read_bytes()
    # A refusal reaches both processes, and neither waits for the other for ever.
    for sentences in refusals:
        assert "already holds an evaluation" in sentences[0]
        assert "out of luck" in sentences[1] or "failed in another process" in sentences[1]
    assert {("luck" in sentences[1]) for sentences in refusals} == {True, False}


@pytest.mark.processes
def test_where_the_second_process_is_killed_the_first_ends_with_a_sentence(
    pair: tuple[Path, "subprocess.Popen[str]"],
) -> None:
    """Although Fabric, which started it, would kill the first as well."""
    out, first = pair
    kill(out, "1")
    assert first.wait(30) == 2


@pytest.mark.processes
def test_where_the_first_process_is_killed_the_second_ends_with_a_sentence(tmp_path: Path, context: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    both = [context.Process(target=wait_as, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for process in both:
        process.start()
    try:
        wait_until(lambda: len(list(tmp_path.glob("begun-*"))) == 2, 120)
        kill(tmp_path, "0")
        both[1].join(30)
        assert both[1].exitcode == 2
    finally:
        kill_all(tmp_path)


def kill(out: Path, victim: str) -> None:
    """In the middle of a batch that would never end: the other hears of it, long before the group's timeout."""
    sentence = out / f"sentence-{1 - int(victim)}"
    os.kill(int((out / f"pid-{victim}").read_text()), signal.SIGKILL)
    killed = time.monotonic()
    wait_until(sentence.exists, 30)
    assert time.monotonic() - killed < 10
    assert sentence.read_text() == (
        "Another process of this evaluation was killed, so this one ends too; what is finished is kept: resume it."
    )


def kill_all(out: Path) -> None:
    for file in out.glob("pid-*"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.read_text()), signal.SIGKILL)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_several_processes_need_a_folder() -> None:
    class Two(Processes):
        """As if Fabric had started two."""

        def __init__(self, *_: Any) -> None:
            super().__init__(1, "cpu", "auto", 1)
            self.count = 2

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(robustness, "Processes", Two)
        with pytest.raises(UserError, match="share their results through a folder"):
            evaluate()


def test_a_folder_has_one_evaluation_at_a_time(tmp_path: Path) -> None:
    refused: list[str] = []

    def want() -> None:
        try:
            evaluate(tmp_path / "folder", resume=True)
        except UserError as error:
            refused.append(str(error))

    with lock(tmp_path / "folder", "attacking a model"):
        thread = threading.Thread(target=want)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert f"'{tmp_path / 'folder'}' is in use: process {os.getpid()} on host" in refused[0]
    assert "has been attacking a model in it since" in refused[0]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / ".lock.json").write_text("{}")  # left by one that was killed
    evaluate(tmp_path / "folder", n=20)
    assert not list((tmp_path / "folder").rglob(".*"))
