import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from epslab import cli
from epslab.errors import UserError


def raising(monkeypatch, error):
    def run(arguments):
        raise error

    monkeypatch.setitem(cli.VERBS, "fail", SimpleNamespace(run=run))


def test_help_lists_every_verb_with_a_line_and_an_example(epslab):
    outcome = epslab("--help")
    assert outcome.code == 0
    for verb in cli.VERBS:
        line = next(line for line in outcome.out.splitlines() if line.startswith(f"  {verb} "))
        assert len(line.split()) > 4
    assert "epslab train vae --data digits" in outcome.out
    assert epslab().out == outcome.out


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_help_with_an_example(epslab, verb):
    outcome = epslab(verb, "--help")
    assert outcome.code == 0
    assert f"epslab {verb}" in outcome.out
    assert "example:" in outcome.out
    assert outcome.err == ""


def test_version(epslab):
    from epslab import __version__

    assert epslab("--version").out == f"epslab {__version__}\n"


def test_an_unknown_verb_names_the_nearest(refused):
    assert "Did you mean 'train'?" in refused("trian", "vae")


def test_a_flag_before_the_verb_is_explained(refused):
    assert "The verb comes first" in refused("--seed", "3", "train")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_shows_the_traceback_from_any_position(monkeypatch, epslab, place):
    raising(monkeypatch, UserError("no"))
    words = ["fail", "x"]
    words.insert(place, "--debug")
    with pytest.raises(UserError):
        epslab(*words)


def test_a_user_error_is_one_line(monkeypatch, refused):
    raising(monkeypatch, UserError("first\n   second"))
    assert refused("fail") == "epslab: first second\n"


def test_options_in_sentences_become_flags(monkeypatch, refused):
    raising(monkeypatch, UserError("In use: go on with `resume=True`, or choose another `out=`."))
    assert refused("fail") == "epslab: In use: go on with --resume, or choose another --out.\n"


def test_an_interrupt_ends_with_130_and_one_sentence(monkeypatch, epslab):
    raising(monkeypatch, KeyboardInterrupt())
    outcome = epslab("fail")
    assert outcome.code == 130
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.ENOENT, errno.EEXIST])
def test_a_full_or_closed_disk_is_one_sentence(monkeypatch, refused, number):
    raising(monkeypatch, OSError(number, os.strerror(number), "/somewhere/model"))
    assert "/somewhere/model" in refused("fail")


@pytest.mark.parametrize("error", [RuntimeError("a fault"), OSError(errno.EIO, "hardware")])
def test_other_exceptions_are_faults_and_are_raised(monkeypatch, epslab, error):
    raising(monkeypatch, error)
    with pytest.raises(type(error)):
        epslab("fail")


LIGHT = """
import sys
from epslab.cli import main
codes = [main(words.split()) for words in sys.argv[1:]]
heavy = {"torch", "lightning", "matplotlib", "scipy", "sklearn", "numpy", "pandas"} & set(sys.modules)
assert codes == [0] * len(codes), codes
assert not heavy, heavy
"""


@pytest.mark.processes
def test_help_imports_nothing_heavy():
    verbs = [[verb, "--help"] for verb in cli.VERBS]
    words = [" ".join(verb) for verb in [["--help"], ["--version"], ["train", "vae", "--help"], *verbs]]
    done = subprocess.run([sys.executable, "-c", LIGHT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
def test_a_wrong_flag_is_refused_before_anything_heavy_loads():
    code = LIGHT.replace("[0] * len(codes)", "[2] * len(codes)")
    words = ["train vae --latnt-dim 3", "train vea", "train vae --beta -1", "sample", "evaluate", "report", "study"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m epslab train vae --help | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode in (0, 141)
    assert done.stderr == ""


@pytest.mark.processes
def test_module_and_script_are_the_same_command():
    done = subprocess.run([sys.executable, "-m", "epslab", "trian"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("epslab: Unknown verb 'trian'.")
    assert done.stderr.count("\n") == 1
