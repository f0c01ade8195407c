"""The documents beside the code: what they name exists, what they tell to type works."""

import contextlib
import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from epslab.cli import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "examples/README.md", "CHANGELOG.md")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
TEXTS = {name: (ROOT / name).read_text(encoding="utf-8") for name in DOCUMENTS}
BLOCKS = [
    line
    for text in TEXTS.values()
    for block in re.findall(r"^```sh\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
FIRST = [line for line in BLOCKS if line.startswith("epslab ") and "runs/first" in line]


def words(line: str) -> list[str]:
    """A command without its comment."""
    return shlex.split(line, comments=True)


def test_what_to_type_after_the_tour_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [words(line)[1] for line in FIRST] == ["train", "evaluate", "attack", "report"]
    for line in (*FIRST, "epslab runs"):
        assert main(words(line)[1:]) == 0, line
    assert Path("runs/first/report.html").is_file()
    assert "first" in capsys.readouterr().out


def test_absolute_paths_leave_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the paths on the command line were: what is written in the working folder names it nowhere."""
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    run = here / "runs" / "first"
    instead = {"runs/first": str(run), "5": "1", "200": "40"}
    commands = [[instead.get(word, word) for word in words(line)[1:]] for line in FIRST[:3]]
    for line in (*commands, ["report", str(run), "--out", str(here / "page.html")]):
        monkeypatch.setattr("sys.argv", ["epslab", *line])
        assert main(line) == 0, line
    texts = [path for path in here.rglob("*") if path.suffix in (".json", ".yaml", ".csv", ".html", ".md", ".txt")]
    assert len(texts) > 8
    assert [path.name for path in texts if str(tmp_path) in path.read_text(encoding="utf-8")] == []
    page = (here / "page.html").read_text(encoding="utf-8")
    assert "L∞" in page
    assert not re.search(r"linf(?!-)", page), "but for the names of folders, a norm is written L∞"
    pictures = [path.read_bytes() for path in here.rglob("*.png")]
    assert pictures
    assert not any(str(tmp_path).encode() in data for data in pictures)


@pytest.mark.parametrize("line", [line for line in BLOCKS if line.startswith("epslab ")])
def test_every_command_names_a_verb_and_flags_that_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb, *given = words(line)[1:]
    kinds = {"train": given[:1], "data": given[:1]}.get(verb, [])
    kinds = [kind for kind in kinds if not kind.startswith("-")]
    with contextlib.suppress(SystemExit):
        main([verb, *kinds, "--help"])
    known = set(re.findall(r"--[a-z][a-z0-9-]*", capsys.readouterr().out))
    assert "--help" in known
    assert {flag for flag in given if flag.startswith("--")} <= known


def test_every_make_target_exists() -> None:
    named = {
        target for text in TEXTS.values() for target in re.findall(r"(?:`|^)make ([a-z-]+)", text, flags=re.MULTILINE)
    }
    assert {"tour", "test", "lint"} <= named
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in named if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []


def test_every_file_and_link_exists() -> None:
    for name, text in TEXTS.items():
        folder = (ROOT / name).parent
        links = re.findall(r"\]\(((?!https?:|#)[^)]+)\)", text)
        paths = re.findall(r"(?:`| )((?:src|tests|examples|benchmarks)/[\w/.-]*\w)", text)
        assert [link for link in links if not (folder / link).exists()] == []
        assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_citation_is_valid_cff() -> None:
    """Citation File Format 1.2.0: the required keys, no unknown ones, and the project's own version and licence."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    required = {"cff-version", "message", "title", "authors"}
    optional = {
        "abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url",
        "preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url",
        "version",
    }  # fmt: skip
    assert required <= set(citation) <= required | optional
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert all(isinstance(word, str) for word in citation["keywords"])
    assert all(set(author) & {"name", "family-names", "given-names", "alias"} for author in citation["authors"])
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_changelog_is_kept() -> None:
    """Keep a Changelog 1.1.0: sections of known names, the newest first, and nothing released that was not."""
    text = TEXTS["CHANGELOG.md"]
    versions = re.findall(r"^## \[(.+?)\]", text, flags=re.MULTILINE)
    assert versions[0] == "Unreleased"
    kinds = set(re.findall(r"^### (.+)$", text, flags=re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {"Added", "Fixed"} <= kinds
    tags = subprocess.run(["git", "tag"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    assert [version for version in versions[1:] if f"v{version}" not in tags] == []
