"""Gates for continuous integration: exit codes, JSON, and what cannot be asked."""

import errno
import json
import os
import re
from pathlib import Path

import pytest

from epslab.classifiers import Proportion
from epslab.cli.gates import Gates, percentage
from epslab.errors import UserError

QUICK = ("--limit", "60", "--steps", "2", "--no-sweep", "--attacks", "pgd")


def content(low, verdict="pass"):
    findings = [{"name": "a check", "verdict": verdict, "evidence": "…"}, {"name": "b", "verdict": "not checked"}]
    return {"worst_case": {"value": 0.6, "low": low, "high": 0.9}, "findings": findings}


@pytest.mark.parametrize(("low", "failed"), [(0.5001, False), (0.5, False), (0.4999, True)])
def test_the_intervals_lower_end_decides_and_is_given_in_percent(low, failed):
    sentences = Gates(fail_below=50.0).failures(content(low))
    assert bool(sentences) == failed
    assert not failed or "worst-case accuracy is 60.0 % [50.0, 90.0], its lower end below 50 %" in sentences[0]
    assert not Gates().failures(content(low))


@pytest.mark.parametrize(("verdict", "failed"), [("pass", False), ("not checked", False), ("fail", True)])
def test_a_finding_that_fails_decides(verdict, failed):
    assert bool(Gates(on_findings=True).failures(content(0.5, verdict))) == failed
    assert not Gates(fail_below=10.0).failures(content(0.5, verdict))


@pytest.mark.parametrize(("text", "value"), [(None, None), ("50", 50.0), ("62.5 %", 62.5), ("0.5%", 0.5), ("0", 0.0)])
def test_percent(text, value):
    assert percentage(text) == value


@pytest.mark.parametrize("text", ["0.5", "", "half", "-1", "101", "nan", "1e1", "50 percent"])
def test_what_is_no_percentage(text):
    with pytest.raises(UserError, match=r"--fail-below is .*percent"):
        percentage(text)


@pytest.mark.parametrize("least", [50.0, 90.0, 99.5])
def test_a_gate_that_no_classifier_can_pass_says_how_many_images_it_takes(least):
    with pytest.raises(UserError, match=r"it takes \d+ images") as raised:
        Gates(least).require_passable(3)
    enough = int(re.search(r"takes (\d+)", str(raised.value))[1])
    Gates(least).require_passable(enough)
    assert Proportion(enough - 1, enough - 1).interval()[0] < least / 100
    with pytest.raises(UserError, match="never"):
        Gates(100.0).require_passable(10**6)


def test_json_is_all_there_is_on_standard_output_and_gates_decide_the_exit_code(epslab, run):
    words = ("attack", run, *QUICK, "--radius", "0.1", "--json", "--fail-on-findings")
    outcome = epslab(*words, "--fail-below", "95", "--limit", "100", "--out", "new")
    found = json.loads(outcome.out)
    kept = json.loads(Path("new/result.json").read_text(encoding="utf-8"))
    assert {name: found[name] for name in kept} == kept
    assert found["folder"] == "new"
    assert outcome.code == 3
    spoke = [one["name"] for one in found["findings"] if one["verdict"] == "fail"]
    assert len(found["gates"].pop("failed")) == 1 + bool(spoke)
    assert found["gates"] == {"fail_below": 95.0, "fail_on_findings": True}
    assert "Findings" in outcome.err
    assert re.search(r"epslab: Not passed: worst-case accuracy is [\d.]+ % \[[\d.]+, [\d.]+\], its", outcome.err)


def test_gates_that_hold_leave_exit_code_0(epslab, run):
    outcome = epslab("attack", run, *QUICK, "--no-findings", "--radius", "1/255", "--fail-below", "10")
    assert outcome.code == 0, outcome.err
    assert "Worst-case accuracy" in outcome.out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--fail-below", "99"), "it takes 368 images or more"),
        (("--fail-below", "0.5"), "write 50, or '0.5%'"),
        (("--no-findings", "--fail-on-findings"), "--no-findings leaves out"),
    ],
)
def test_gates_that_cannot_work(refused, run, words, sentence):
    assert sentence in refused("attack", run, *QUICK, *words)
    assert not (run / "attacks").exists()


def test_an_error_leaves_standard_output_empty(epslab, run):
    outcome = epslab("attack", run, "--json", "--data", "nowhere")
    assert (outcome.code, outcome.out) == (2, "")


def test_every_image_is_pushed_to_the_greatest_loss_on_request(epslab, run):
    words = ("attack", run, *QUICK, "--no-findings", "--radius", "0.2", "--json")
    early, late = (json.loads(epslab(*words, *flag).out) for flag in ((), ("--no-leave-early",)))
    assert early["folder"] != late["folder"]
    assert "leave_early=False" in late["attacks"]["pgd"]["settings"]
    assert late["settings"]["leave_early"] is False
    taken = [dict(zip(one["table"]["columns"], one["table"]["rows"][1], strict=True)) for one in (early, late)]
    assert taken[0]["gradients"] < taken[1]["gradients"] == 2
    assert late["worst_case"] == early["worst_case"]


def test_a_full_disk_is_one_sentence_and_the_attack_goes_on(epslab, refused, run, monkeypatch):
    words = ("attack", run, *QUICK, "--no-findings", "--batch-size", "20")
    assert epslab(*words, "--out", "straight").code == 0
    written, fsync = [], os.fsync

    def full(handle):
        written.append(handle)
        if len(written) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        sentence = refused(*words, "--out", "new")
    assert re.search(
        r"The disk is full \('new/\S+\.safetensors'\); free some space, and `epslab attack .* --resume` goes on",
        sentence,
    )
    assert epslab(*words, "--out", "new", "--resume").code == 0
    for name in ("worst_case", "robust_accuracy", "table"):
        assert (
            json.loads(Path("new/result.json").read_text())[name]
            == json.loads(Path("straight/result.json").read_text())[name]
        )


def test_a_second_run_in_the_same_place_measures_what_changed_and_no_more(epslab, kept, run):
    words = ("attack", run, *QUICK, "--no-findings", "--radius", "0.1", "--json")
    first = json.loads(epslab(*words).out)
    again = json.loads(kept(*words))
    assert (first.pop("kept"), again.pop("kept")) == (False, True)
    assert first == again
    # Gates are asked of what is there, too.
    outcome = epslab(*words, "--fail-below", "60")
    assert (outcome.code, json.loads(outcome.out)["kept"]) == (3, True)
    assert json.loads(epslab(*words, "--overwrite").out)["kept"] is False
