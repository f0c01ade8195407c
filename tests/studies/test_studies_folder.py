import json
import os
import socket
from pathlib import Path

import pytest

from epslab.errors import UserError
from epslab.report import StudyResult
from epslab.studies import Context, run_study, tour
from epslab.studies.folder import require_studies


def test_a_new_an_empty_and_a_folder_of_studies(tmp_path):
    require_studies(tmp_path / "new" / "folder")
    require_studies(tmp_path)
    StudyResult("mine", "?", ".").save(tmp_path / "some.package.name")
    (tmp_path / "some.package.name" / "notes.txt").write_text("mine")
    (tmp_path / "vae").mkdir()  # stopped before it kept anything
    (tmp_path / "fgsm" / "attacked").mkdir(parents=True)
    (tmp_path / "runs" / "vae-0").mkdir(parents=True)
    (tmp_path / ".hidden").write_text("")
    (tmp_path / "report.html").write_text("")
    (tmp_path / "net.pth").write_text("beside the studies")
    require_studies(tmp_path)
    (tmp_path / "beta").mkdir()
    (tmp_path / "beta" / "plan.txt").write_text("no study")
    with pytest.raises(UserError, match="'beta'"):
        require_studies(tmp_path)


@pytest.mark.parametrize("name", ["chapter.tex", "vae", "vae/plan.txt", "pictures/a.png", "report.html"])
def test_other_things_are_named_and_stay(tmp_path, name):
    out = tmp_path / "thesis"
    (out / name).parent.mkdir(parents=True)
    (out / name).write_text("the only copy")
    for ask in (lambda: tour(out=out, progress=False), lambda: run_study("divergences", Context(out=out))):
        with pytest.raises(UserError, match=rf"other things than studies \('{Path(name).parts[0]}'\)"):
            ask()
    assert [path for path in out.rglob("*") if path.is_file()] == [out / name]
    assert (out / name).read_text() == "the only copy"


def test_a_folder_of_runs_is_no_folder_of_studies(tmp_path):
    (tmp_path / "cnn").mkdir()
    for name in ("config.yaml", "result.json"):
        (tmp_path / "cnn" / name).write_text("")
    with pytest.raises(UserError, match="'cnn'"):
        require_studies(tmp_path)


def test_a_study_that_is_asked_elsewhere_is_not_asked_twice(tmp_path, held):
    says = f"is in use: process {os.getpid()} .* has been asking a study"
    with held(tmp_path / "divergences", "asking a study"), pytest.raises(UserError, match=says):
        run_study("divergences", Context(out=tmp_path))
    assert not [*tmp_path.iterdir()]


def test_the_lock_of_a_study_that_was_killed_does_not_matter(tmp_path):
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / ".lock").write_text("")
    (tmp_path / "vae" / ".lock.json").write_text(json.dumps({"process": 1, "host": socket.gethostname()}))
    require_studies(tmp_path)
    (tmp_path / "vae" / "plan.txt").write_text("no study")
    with pytest.raises(UserError, match="'vae'"):
        require_studies(tmp_path)
