"""Which folder an audit takes, and what it finds there."""

import json
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from epslab.attacks import FGSM, PGD
from epslab.audits import Target, audit
from epslab.audits.places import identity_of, place, require_free, standing
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.evaluation import RadiusSweep, evaluate_robustness
from epslab.evaluation.identity import measured_of
from epslab.geometry import Linf
from epslab.report import write_report
from epslab.runs import Run, weights_hash

ATTACKS = {"fgsm": FGSM(Linf(0.1))}


def target(scale: float = 1.0, pixel: int = 200, label: int = 0) -> Target:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        net[1].weight.copy_(scale * torch.tensor([[1.0] * 4, [-1.0] * 4]))
        net[1].bias.zero_()
    pixels = torch.full((3, 1, 2, 2), pixel, dtype=torch.uint8)
    return Target("mine:net", net.eval(), ImageSet(pixels, torch.full((3,), label), ("a", "b")), "grey", "test")


def test_the_identity_is_that_of_all_the_numbers_depend_on() -> None:
    base = identity_of(target(), ATTACKS)
    assert identity_of(target(), dict(ATTACKS)).digest == base.digest
    others = [
        identity_of(target(scale=1.1), ATTACKS),
        identity_of(target(pixel=201), ATTACKS),
        identity_of(target(label=1), ATTACKS),
        identity_of(target(), {"fgsm": FGSM(Linf(0.2))}),
        identity_of(target(), {"pgd": PGD(Linf(0.1))}),
        identity_of(target(), ATTACKS, seed=1),
        identity_of(target(), ATTACKS, sweep=None),
        identity_of(target(), ATTACKS, sweep=RadiusSweep((0.1, 0.2))),
        identity_of(target(), ATTACKS, findings=False),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 10


def test_a_folder_is_free_begun_done_another_s_or_foreign(tmp_path: Path) -> None:
    wanted = identity_of(target(), ATTACKS, sweep=None, findings=False)
    folder = tmp_path / "a"
    assert standing(folder, wanted) == "free"
    folder.mkdir()
    (folder / ".lock").touch()
    assert standing(folder, wanted) == "free"
    (folder / ".lock").unlink()
    audit(target(), ATTACKS, out=folder, sweep=None, findings=False)
    assert standing(folder, wanted) == "done"
    (folder / "result.json").unlink()
    assert standing(folder, wanted) == "begun"
    for other, words in (
        (identity_of(target(scale=2.0), ATTACKS, sweep=None, findings=False), "of another model, or of one with other"),
        (identity_of(target(pixel=1), ATTACKS, sweep=None, findings=False), "on other images"),
        (identity_of(target(), {"pgd": PGD(Linf(0.1))}, sweep=None, findings=False), "by other attacks"),
        (identity_of(target(), ATTACKS, seed=1, sweep=None, findings=False), "with another seed"),
        (identity_of(target(), ATTACKS, findings=False), "with other radii"),
        (identity_of(target(), ATTACKS, sweep=None), "with or without findings"),
    ):
        assert standing(folder, other) == "other"
        with pytest.raises(UserError, match=f"holds an attack {words}.*choose another `out=`, or replace it"):
            require_free(folder, other, resume=False, overwrite=False)
        require_free(folder, other, resume=True, overwrite=False)
    begun = json.loads((folder / "provenance.json").read_text())
    (folder / "provenance.json").write_text(json.dumps({"versions": {**begun["versions"], "epslab": "0.0.1"}}))
    assert wanted.unlike(folder) == "measured by another version of epslab"
    (folder / "provenance.json").unlink()  # an old folder, which does not say
    assert standing(folder, wanted) == "begun"
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").touch()
    assert standing(tmp_path / "b", wanted) == standing(tmp_path / "b" / "thesis.tex", wanted) == "foreign"
    with pytest.raises(UserError, match="holds other things than an attack"):
        require_free(tmp_path / "b", wanted, resume=True, overwrite=True)
    assert (tmp_path / "b" / "thesis.tex").exists()
    (folder / "evaluation.json").write_text("{")
    with pytest.raises(UserError, match="holds an attack that cannot be read"):
        require_free(folder, wanted, resume=False, overwrite=False)
    require_free(folder, wanted, resume=False, overwrite=True)
    assert standing(folder, wanted) == "free"


def test_what_cannot_be_described_is_never_done_already(tmp_path: Path) -> None:
    """The model holds a lock, in which a change would go unnoticed."""
    locked = target()
    locked.model.lock = threading.Lock()  # type: ignore[attr-defined]
    audit(locked, ATTACKS, out=tmp_path / "a", sweep=None, findings=False)
    wanted = identity_of(locked, ATTACKS, sweep=None, findings=False)
    assert standing(tmp_path / "a", wanted) == "other"
    with pytest.raises(UserError, match="cannot be compared with this one, because the model holds a _thread"):
        require_free(tmp_path / "a", wanted, resume=False, overwrite=False)


def test_the_plain_name_is_taken_unless_another_audit_has_it(tmp_path: Path) -> None:
    first, second = (identity_of(target(scale), ATTACKS, sweep=None, findings=False) for scale in (1.0, 2.0))
    plain, hashed = tmp_path / "fgsm", tmp_path / f"fgsm-{second.digest[:8]}"
    assert place(tmp_path, "fgsm", first) == place(tmp_path, "fgsm", second) == plain
    audit(target(1.0), ATTACKS, out=plain, sweep=None, findings=False)
    assert place(tmp_path, "fgsm", first) == plain
    assert place(tmp_path, "fgsm", second) == place(tmp_path, "fgsm", second, resume=True) == hashed
    # Unfinished, it is not left behind where one that differs wants to go on.
    (plain / "result.json").unlink()
    assert place(tmp_path, "fgsm", second, resume=True) == plain
    assert place(tmp_path, "fgsm", second) == hashed
    audit(target(2.0), ATTACKS, out=hashed, sweep=None, findings=False)
    assert place(tmp_path, "fgsm", second, resume=True) == place(tmp_path, "fgsm", second) == hashed


def test_results_say_which_weights_and_data_they_are_of(tmp_path: Path) -> None:
    one = target()
    report = audit(one, ATTACKS, out=tmp_path, sweep=None, findings=False)
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["of"] == {"weights": weights_hash(one.model.state_dict()), "data": one.images.checksum()}  # type: ignore[attr-defined]
    assert json.loads((tmp_path / "robustness.json").read_text())["of"] == report.of
    images, labels = one.images.images, one.images.labels
    asked = evaluate_robustness(lambda x: one.model(x), images, labels, ATTACKS, sweep=None, findings=False)
    assert asked.of == {"data": report.of["data"]} == measured_of(lambda x: x, images, labels)
    assert measured_of(one.model, images, 1 - labels)["data"] != report.of["data"]


def test_an_evaluation_from_python_among_a_run_s_attacks_goes_out_of_date_with_the_run(tmp_path: Path) -> None:
    """The model has the run's weights under other names, so their own hash cannot tell."""
    run, one = Run.create(tmp_path / "run", {}), target()
    run.save_weights(one.model[1].state_dict())  # type: ignore[index]
    images, labels, out = one.images.images, one.images.labels, run.folder / "attacks" / "mine"
    report = evaluate_robustness(one.model, images, labels, ATTACKS, out=out, sweep=None, findings=False)
    assert report.of["run"] == run.weights_hash() != report.of["weights"]
    assert run.stale_attacks() == {}
    page = write_report([run.folder], tmp_path / "page.html").read_text()
    assert "Worst-case accuracy" in page
    run.save_weights(target(2.0).model[1].state_dict())  # type: ignore[index]
    assert run.stale_attacks() == {"mine": "the weights have changed since"}
    page = write_report([run.folder], tmp_path / "page.html").read_text()
    assert "Worst-case accuracy" not in page
    assert "The attack &#39;mine&#39; is left out: the weights have changed since;" in page
    assert "This attack is out of date" in write_report([out], tmp_path / "attack.html").read_text()
