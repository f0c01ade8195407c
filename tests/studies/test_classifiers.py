"""The studies of classifiers under attack: at tiny scale their numbers already obey the theory."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from epslab import data, recipes
from epslab.attacks import FGSM, PGD
from epslab.classifiers import Proportion
from epslab.data import ImageSet
from epslab.errors import UserError
from epslab.geometry import Linf
from epslab.recipes import COURSE, SmallCNNRecipe
from epslab.report import StudyResult
from epslab.runs import Run
from epslab.studies import classifiers, defence, fgsm
from epslab.studies.context import Context
from epslab.studies.pictures import with_intervals
from epslab.studies.same_defence import gradients
from epslab.studies.trained import DEFENCES, images_to_attack, loaded, train_defended

from .conftest import IMAGES


def share(cell: str) -> Proportion:
    """An accuracy as it was before it was written."""
    return Proportion(round(float(cell.split(" ")[0]) / 100 * IMAGES), IMAGES)


def test_nets_and_radii() -> None:
    assert Context().classifier() == classifiers.QUICK["small-cnn"]
    assert Context(scale="full").classifier(augment="flip-crop") == COURSE
    assert Context(scale="full", net="small-cnn").classifier() == SmallCNNRecipe(epochs=10, augment="none")
    assert Context(net="resnet18").classifier(half="A").half == "A"
    assert [Context(data=name).radius_text for name in ("digits", "cifar10", "/some/cifar10", "holiday")] == [
        "0.15",
        "2/255",
        "2/255",
        "2/255",
    ]
    assert Context(radius="3/10").ball == Linf(0.3)
    with pytest.raises(UserError, match=r"Unknown net 'resnet19'\. Did you mean 'resnet18'"):
        Context(net="resnet19")
    with pytest.raises(UserError, match="`radius=` is 'wide', but must be a number"):
        Context(radius="wide")
    with pytest.raises(UserError, match="`radius=` is 0, but must be more"):
        Context(radius="0/255")


def test_the_command_repeats_what_was_asked_for() -> None:
    asked = Context(data="cifar10", scale="full", net="small-cnn", radius="2/255", weights="my weights.pth")
    assert asked.command("fgsm") == (
        "epslab study fgsm --data cifar10 --scale full --seed 0 --net small-cnn --radius 2/255"
        " --weights 'my weights.pth'"
    )


def test_radii_are_written_in_their_own_unit() -> None:
    assert fgsm.times(1.5, "0.15") == "0.225"
    assert fgsm.times(0.25, "2/255") == "0.5/255"
    assert fgsm.times(1.0, "8/255") == "8/255"


def test_intervals() -> None:
    shares = [Proportion(1, 10), Proportion(10, 10)]
    value, low, high = with_intervals(shares)
    assert list(value) == [0.1, 1.0]
    assert [*zip(low, high, strict=True)] == [share.interval() for share in shares]


@pytest.fixture
def measured_again(toured: Path) -> tuple[torch.nn.Module, ImageSet]:
    """The undefended net of the tour, and the images it was attacked on."""
    context = Context(out=toured)
    return loaded(Run(toured / "runs" / "small-cnn-0"), context), images_to_attack(context, IMAGES)


def test_fgsm(results: dict[str, StudyResult], measured_again) -> None:
    model, images = measured_again
    by_radius, together = results["fgsm"].tables
    clean, *noise = (share(row[1]) for row in by_radius.rows)
    step = [share(row[2]) for row in by_radius.rows[1:]]
    assert [row[0] for row in by_radius.rows] == ["0", "0.0375", "0.075", "0.1125", "0.15", "0.225", "0.3"]
    assert step == sorted(step, reverse=True)
    assert all(a < b for a, b in zip(step[1:], noise[1:], strict=True))
    assert share(str(recipes_accuracy(model, images))) == clean
    # FGSM draws nothing, so that it can be made again.
    again = FGSM(Linf(0.15))(model, images.images, images.labels)
    assert step[3] == Proportion.of(~again.success)
    cells = [cell for row in together.rows for cell in row[1:]]
    assert sum(cells) == clean.successes
    assert cells[0] + cells[2] == clean.successes - step[3].successes
    assert str(step[3]) in results["fgsm"].answer
    assert len(results["fgsm"].figures) == 2


def recipes_accuracy(model: torch.nn.Module, images: ImageSet) -> Proportion:
    with torch.no_grad():
        return Proportion.of(model(images.images).argmax(1) == images.labels)


def test_fgsm_or_pgd(results: dict[str, StudyResult], measured_again) -> None:
    plain, held, saved = results["fgsm-or-pgd"].tables
    for table in (plain, held):
        first, *rest = table.rows
        assert [row[0] for row in rest] == ["1", "2", "5", "10"]
        assert share(rest[0][1]) == share(first[1])  # one step of iterated FGSM is FGSM
        assert share(rest[-1][1]) <= share(first[1])
        for column in (2, 4, 6):
            spent = [row[column] for row in rest]
            assert spent == sorted(spent)
        assert "bit for bit at every number of steps" in table.note
    model, images = measured_again
    started = PGD(Linf(0.15), steps=10, random_start=False)(model, images.images, images.labels)
    assert share(plain.rows[4][1]) == Proportion.of(~started.success)
    assert plain.rows[4][2] == pytest.approx(started.gradients.double().mean().item())
    for _, steps, accuracy, spent, thorough, budget, times in saved.rows:
        assert budget == steps
        assert spent <= budget
        assert times == pytest.approx(budget / spent)
        assert abs(share(accuracy) - share(thorough)) <= 3 / IMAGES


def test_defence_holds_every_factor(results: dict[str, StudyResult]) -> None:
    accuracies, effects, same = results["defence"].tables
    assert [row[:3] for row in accuracies.rows] == [
        (name, augmented, weights)
        for name in ("none", "FGSM loss", "PGD batch")
        for augmented in ("no", "yes")
        for weights in ("scratch", "given")
    ]
    pgd = [share(row[5]) for row in accuracies.rows]
    assert max(pgd[:4]) < min(pgd[4:])
    assert "published" not in accuracies.columns
    # The effects are the mean differences of the table's own accuracies.
    by_hand = sum(pgd[8:]) / 4 - sum(pgd[:4]) / 4
    assert float(effects.rows[1][3].split(" ")[0]) == pytest.approx(100 * by_hand, abs=0.06)
    given = (sum(pgd[1::2]) - sum(pgd[::2])) / 6
    assert float(effects.rows[3][3].split(" ")[0].replace("−", "-")) == pytest.approx(100 * given, abs=0.06)
    assert [row[2] > 1e-3 for row in same.rows] == [True, True, False, False, False, False]
    assert all(row[2] < 1e-12 for row in same.rows[2:])
    assert "are the same defence" in results["defence"].answer
    assert "With it they are two defences" in results["defence"].answer


def test_given_weights_are_those_of_the_undefended_net(toured: Path) -> None:
    settings = Run(toured / "runs" / "small-cnn-fgsm-loss-augmented-given-0").config
    assert settings["weights"] == str(toured / "runs" / "small-cnn-0")
    assert (settings["augment"], settings["attack"], settings["radius"]) == ("crop", "fgsm", "0.15")


def test_gradients_leave_the_net_alone_and_differ_by_batch_statistics_alone(measured_again) -> None:
    net, images = measured_again
    net = net.double()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    x, y = images.images[:16].double(), images.labels[:16]
    own = torch.arange(16)
    with_statistics = gradients(net, FGSM(Linf(0.1)), x, y, own)
    held = gradients(net, FGSM(Linf(0.1)), x, y, own, training=False)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not net.training
    assert (with_statistics[0] - with_statistics[1]).norm() > 0.01 * with_statistics[0].norm()
    torch.testing.assert_close(*held, rtol=0, atol=1e-12)


def test_transfer(results: dict[str, StudyResult]) -> None:
    threats, fgsm_matrix, pgd_matrix, models = results["transfer"].tables
    white, gray, black, noise, clean = (share(row[3]) for row in threats.rows)
    assert white < gray <= black <= clean
    assert white < noise <= clean
    for column, matrix in ((2, fgsm_matrix), (3, pgd_matrix)):
        # The first column of the matrix is the attacks on the target, from the white box down.
        assert [row[1] for row in matrix.rows] == [row[column] for row in threats.rows[:3]]
        for i, row in enumerate(matrix.rows):
            assert share(row[i + 1]) == min(share(other[i + 1]) for other in matrix.rows)
    assert [row[2] for row in models.rows] == ["half A", "half B", "half B"]


def test_the_halves_are_disjoint(toured: Path) -> None:
    a, b = (
        {image.numpy().tobytes() for part in recipes.splits(Run(toured / "runs" / name))[:2] for image in part.pixels}
        for name in ("small-cnn-half-a-0", "small-cnn-half-b-1")
    )
    assert len(a) > 600
    assert not a & b


def test_the_checks_see_through_every_broken_defence(results: dict[str, StudyResult]) -> None:
    accuracies, _, verdicts, evidence = results["findings"].tables
    assert verdicts.columns == ("check", "honest", "scaled", "rounded", "noisy", "softmax")
    marks = {name: {row[0]: row[i] for row in verdicts.rows} for i, name in enumerate(verdicts.columns[1:], 1)}
    assert "✗" not in marks["honest"].values()
    for name, check in (
        ("scaled", "gradients are not zero or NaN"),
        ("rounded", "gradients are not zero or NaN"),
        ("rounded", "unbounded radius reaches 0 %"),
        ("noisy", "the model answers deterministically"),
        ("softmax", "outputs are logits, not probabilities"),
    ):
        assert marks[name][check] == "✗"
    counted = {row[0]: row[5] for row in accuracies.rows}
    for name in marks:
        failed = [check for check, mark in marks[name].items() if mark == "✗"]
        assert counted[name] == len(failed)
        assert [row[1] for row in evidence.rows if row[0] == name] == failed
    by_name = {row[0]: [share(cell) for cell in row[1:5]] for row in accuracies.rows}
    truth = by_name["honest"][1]
    for name in ("scaled", "rounded"):
        clean, straight, _, through = by_name[name]
        assert straight > 0.9 * clean
        assert through < truth + 0.1
    assert by_name["scaled"][2] < truth + 0.05  # APGD's difference of logits ratio knows no scale
    assert by_name["noisy"][3] < by_name["noisy"][1]
    assert "The checks catch 4 of 4" in results["findings"].answer
    assert "the honest net none" in results["findings"].answer


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CIFAR-10 of coloured noise: class 0 is bright."""

    def load(name: str, split: str, root: Path | None = None) -> ImageSet:
        pixels = torch.randint(0, 128, (64, 3, 32, 32), generator=torch.Generator().manual_seed(len(split)))
        labels = torch.arange(64) % 2
        return ImageSet((pixels + 128 * (1 - labels[:, None, None, None])).byte(), labels, tuple("ab"))

    for name in ("load", "load_examples"):
        monkeypatch.setattr(data, name, load)


@pytest.mark.usefixtures("tiny", "colours")
def test_full_scale_on_cifar10_stands_beside_what_was_published(tmp_path: Path) -> None:
    context = Context("cifar10", "full", tmp_path, net="small-cnn", accelerator="cpu", progress=False)
    result = defence.tell(defence.measure(context.of("defence")))
    table = result.tables[0]
    assert table.columns[-1] == "published"
    assert {row[-1] for row in table.rows} == {"", *defence.PUBLISHED.values()}
    assert re.search("The published order of the four rows (reproduces|does not reproduce)", result.answer)
    run = train_defended(context, "PGD batch", augmented=True)
    assert (run.config["augment"], run.config["radius"]) == ("flip-crop", "2/255")


def test_the_order_of_rows_is_judged_by_intervals() -> None:
    def verdict(right: list[int], n: int) -> str:
        return defence.order([Proportion(successes, n) for successes in right])

    assert verdict([40, 150, 360, 430], 1000).endswith("four rows reproduces, with intervals apart.")
    assert verdict([4, 15, 36, 43], 100).endswith("four rows reproduces, but intervals overlap.")
    assert verdict([40, 360, 150, 430], 1000).endswith("four rows does not reproduce.")


@pytest.mark.usefixtures("tiny")
def test_weights_from_elsewhere(tmp_path: Path) -> None:
    elsewhere = train_defended(Context(out=tmp_path / "there", seed=3, accelerator="cpu", progress=False), "none")
    context = Context(out=tmp_path, weights=str(elsewhere.weights), accelerator="cpu", progress=False)
    assert set(DEFENCES) == {"none", "FGSM loss", "PGD batch"}
    # The file of a run's weights is not a net's; the folder is what a run is started from.
    with pytest.raises(UserError):
        train_defended(context, "none", given=True)
    run = train_defended(replace(context, weights=str(elsewhere.folder)), "none", given=True)
    assert run.config["weights"] == str(elsewhere.folder)
