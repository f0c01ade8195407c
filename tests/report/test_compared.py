"""Runs and attacks side by side: overlaid curves, and differences on the same examples, against scipy and by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import ttest_rel
from torch import nn

from epslab.attacks import FGSM, RandomNoise
from epslab.evaluation import RadiusSweep, evaluate_robustness
from epslab.evaluation.paired import difference
from epslab.geometry import Linf
from epslab.report import comparison, write_report
from epslab.report.attacks_compared import attacks_compared, names_of
from epslab.report.comparison import lead
from epslab.report.robustness import AuditFolder
from epslab.runs import Column, Measured, Measurement, with_interval

N = 40


@pytest.fixture
def measured_run(make_run):
    """A run whose bits/dim and accuracy were measured on N examples; with the data and conditions given."""

    def make(name, seed, *, data="sha256:same", conditions="16 grey levels", shift=0.0, share=0.5, unit="bits/dim"):
        run = make_run(name)
        generator = np.random.default_rng(seed)
        common = np.random.default_rng(0).normal(2.0, 0.5, N)  # easy and hard examples are so for every run
        values = {
            "bits_per_dim": common + shift + generator.normal(0, 0.05, N),
            "accuracy": generator.random(N) < share,
        }
        found = Measured(
            [
                Measurement("bits_per_dim", "bits/dim, ELBO", unit, values["bits_per_dim"].mean(), better="lower"),
                Measurement("accuracy", "accuracy", "fraction", values["accuracy"].mean(), better="higher"),
            ],
            conditions=conditions,
            per_example={key: column.astype(float).tolist() for key, column in values.items()},
        )
        with run.bound({"data": data}):
            run.record(found, split="test", images=N)
        return run, values

    return make


def paired(section):
    """The rows of the differences, by quantity; empty where there is no such table."""
    tables = [table for table in section.tables if table.title == "Differences on the same examples"]
    return {(row[0], row[1]): list(row[2:]) for table in tables for row in table.rows}


def test_a_difference_of_means_has_the_interval_of_scipys_paired_t_test(measured_run):
    (first, a), (second, b) = measured_run("first", 1), measured_run("second", 2, shift=-0.1)
    gap = b["bits_per_dim"] - a["bits_per_dim"]
    interval = ttest_rel(b["bits_per_dim"], a["bits_per_dim"]).confidence_interval(0.95)
    text, better, n = paired(comparison([first, second]))["bits/dim, ELBO", "second − first"]
    assert text == f"{with_interval(gap.mean(), interval.low, interval.high)} bits/dim"
    assert interval.high < 0
    assert (better, n) == ("second", N)  # the lower is the better
    # Unpaired, the intervals of the two means overlap: the examples' own spread hides the difference.
    assert gap.std() < 0.3 * a["bits_per_dim"].std()


def test_a_difference_of_shares_is_that_of_bonett_and_price(measured_run):
    (first, a), (second, b) = measured_run("first", 1, share=0.2), measured_run("second", 2, share=0.9)
    gained = (b["accuracy"] & ~a["accuracy"]).sum()
    lost = (a["accuracy"] & ~b["accuracy"]).sum()
    p, q = (gained + 1) / (N + 2), (lost + 1) / (N + 2)
    half = 1.959964 * ((p + q - (p - q) ** 2) / (N + 2)) ** 0.5
    text, better, _ = paired(comparison([first, second]))["accuracy", "second − first"]
    low, high = 100 * (p - q - half), 100 * min(1.0, p - q + half)
    assert text == f"{100 * (gained - lost) / N:.1f} points [{low:.1f}, {high:.1f}]"
    assert better == "second"  # the higher is the better


def test_a_difference_that_chance_explains_names_no_winner(measured_run):
    runs = [measured_run(name, seed)[0] for name, seed in (("first", 1), ("second", 2))]
    assert paired(comparison(runs))["bits/dim, ELBO", "second − first"][1] == "not told apart"


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"data": "sha256:other"}, set()),
        ({"conditions": "2 grey levels"}, {"accuracy"}),
        ({"unit": "nats"}, {"accuracy"}),
    ],
)
def test_only_what_compares_is_compared(measured_run, changed, left):
    runs = [measured_run("first", 1)[0], measured_run("second", 2, **changed)[0]]
    assert {quantity for quantity, _ in paired(comparison(runs))} == left


def test_values_of_another_evaluation_than_the_numbers_are_not_used(measured_run):
    (first, _), (second, _) = measured_run("first", 1), measured_run("second", 2)
    file = second.folder / "examples.csv"
    file.write_text(file.read_text().replace("1.0\n", "0.0\n"))  # as a kill between the two writes leaves it
    assert {quantity for quantity, _ in paired(comparison([first, second]))} == {"bits/dim, ELBO"}
    file.unlink()
    assert paired(comparison([first, second])) == {}


def test_of_many_runs_each_is_compared_with_the_first(measured_run):
    runs = [measured_run(name, seed)[0] for seed, name in enumerate("abcd")]
    assert {which for _, which in paired(comparison(runs))} == {"b − a", "c − a", "d − a"}
    assert {which for _, which in paired(comparison(runs[:3]))} == {"b − a", "c − a", "c − b"}


def test_curves_of_the_same_column_lie_over_each_other(make_run):
    rows = "epoch,train/gap,val/gap,val/loss,val/own\n0,,3.0,9,1\n1,2.0,1.5,8,1\n"
    shared = {"gap": Column("Gap", "nats", "lower")}
    mine = {**shared, "loss": Column("Loss", "pixels²"), "mine": Column("Mine")}
    runs = [
        make_run("first", metrics=rows.replace("own", "mine"), columns=mine),
        make_run("second", metrics=rows + "2,1.0,0.5,7,1\n", columns={**shared, "loss": Column("Loss", "nats")}),
    ]
    (picture,) = comparison(runs).pictures
    (axes,) = picture.image.axes  # not the loss, which has two units, nor what only one run has
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("Gap", "nats, log scale")
    assert [(line.get_label(), line.get_ydata().tolist()) for line in axes.lines] == [
        ("first", [3.0, 1.5]),
        ("second", [3.0, 1.5, 0.5]),
    ]


def test_runs_of_the_same_name_are_told_apart(make_run, tmp_path):
    for parent in ("a", "b"):
        (tmp_path / parent).mkdir()
    runs = [make_run(f"{parent}/run") for parent in ("a", "b")]
    assert [row[0] for row in comparison(runs).tables[0].rows] == ["a/run", "b/run"]


class Bright(nn.Module):
    """Logits of dark and bright, with the boundary at ``middle``."""

    def __init__(self, middle):
        super().__init__()
        self.middle = nn.Parameter(torch.tensor(middle))

    def forward(self, images):
        grey = images.flatten(1).mean(1) - self.middle
        return torch.stack([-grey, grey], 1)


@pytest.fixture
def attacked(tmp_path):
    """An evaluation of attacks on 20 grey images, all dark."""

    def make(name, middle, radius=0.125, examples=20, **attacks):
        images = torch.linspace(0.02, 0.48, examples)[:, None, None, None].expand(examples, 1, 2, 2).clone()
        chosen = attacks or {"fgsm": FGSM(Linf(radius)), "random": RandomNoise(Linf(radius))}
        report = evaluate_robustness(
            Bright(middle), images, torch.zeros(examples, dtype=torch.int64), chosen, out=tmp_path / name,
            findings=False, sweep=RadiusSweep((0.1, 0.2)),
        )  # fmt: skip
        return AuditFolder.load(tmp_path / name), report

    return make


def test_attacks_on_two_models_are_compared_image_by_image(attacked):
    (first, a), (second, b) = attacked("first", 0.45), attacked("second", 0.3)
    section = attacks_compared([first, second])
    found = paired(section)
    assert {quantity for quantity, _ in found} == {
        "accuracy without an attack", "accuracy under fgsm", "accuracy under random", "worst-case accuracy",
    }  # fmt: skip
    gap = difference(~b.attacks["fgsm"].broken, ~a.attacks["fgsm"].broken)
    assert found["accuracy under fgsm", "second − first"] == [str(gap), "first", 20]
    assert found["worst-case accuracy", "second − first"][0] == str(difference(~b.broken, ~a.broken))
    assert found["accuracy without an attack", "second − first"][0] == str(difference(b.right, a.right))
    rows = section.tables[0].rows
    assert [row[0] for row in rows] == ["first", "second"]
    assert rows[0][-1] == str(a.worst_case)
    (picture,) = section.pictures
    assert [line.get_label() for line in picture.image.axes[0].lines] == ["first", "second"]


def test_two_attacks_on_one_model_are_compared(attacked):
    (weak, a), (strong, b) = (
        attacked("weak", 0.4, random=RandomNoise(Linf(0.125))), attacked("strong", 0.4, fgsm=FGSM(Linf(0.125))),
    )  # fmt: skip
    gap = difference(~b.broken, ~a.broken)
    assert gap.high < 0
    assert paired(attacks_compared([weak, strong])) == {
        ("worst-case accuracy", "strong − weak"): [str(gap), "weak", 20]
    }


def test_other_balls_and_other_images_are_not_compared(attacked):
    first, other_ball, other_images = (
        attacked("first", 0.4)[0], attacked("ball", 0.3, radius=0.25)[0], attacked("images", 0.3, examples=10)[0],
    )  # fmt: skip
    assert {quantity for quantity, _ in paired(attacks_compared([first, other_ball]))} == {"accuracy without an attack"}
    assert paired(attacks_compared([first, other_images])) == {}


def test_names_of_attacks_are_as_short_as_they_tell_apart(tmp_path):
    def at(*paths):
        return names_of([AuditFolder(tmp_path / path, {}) for path in paths])

    assert at("a/attacks/pgd", "b/attacks/pgd") == ["a", "b"]
    assert at("a/attacks/pgd", "a/attacks/fgsm") == ["pgd", "fgsm"]
    assert at("a/attacks/pgd", "a/attacks/fgsm", "b/attacks/pgd") == ["a: pgd", "a: fgsm", "b: pgd"]
    assert at("x/mine", "y/mine") == ["mine (1)", "mine (2)"]


def test_a_page_of_several_begins_with_its_contents(attacked, measured_run, tmp_path):
    runs = [measured_run(name, seed)[0] for name, seed in (("one", 1), ("two", 2))]
    folders = [attacked(name, middle)[0].folder for name, middle in (("first", 0.45), ("second", 0.3))]
    html = write_report([*runs, *folders], tmp_path / "page.html").read_text()
    contents = re.findall(r'<a href="#([^"]*)">([^<]*)</a>', html[html.index("<nav") : html.index("</nav>")])
    titles = [title for _, title in contents]
    assert titles[0] == "The runs compared"
    assert "The attacks compared" in titles
    attacks = [title for title in titles if "under attack" in title]
    assert len(attacks) == len(set(attacks)) == 2
    assert all(f'id="{anchor}"' in html for anchor, _ in contents)
    assert str(tmp_path) not in html


def generative(make_run, recipe, distance, bits=None, note="features of net abc, 360 samples"):
    """A run of this recipe whose samples were measured, and perhaps its likelihood, which is then the headline."""
    kernel = Measurement(
        "kernel_distance", "kernel distance", "", distance, better="lower", note=note, headline=bits is None
    )
    own = [] if bits is None else [Measurement("bits_per_dim", "ELBO", "bits/dim", bits, better="lower", headline=True)]
    conditions = "" if bits is None else "16 grey levels"
    return make_run(recipe, recipe=recipe, measured=Measured([*own, kernel], conditions=conditions), extra=recipe)


def test_models_with_different_headlines_are_ranked_by_what_all_have(make_run):
    vae, gan = generative(make_run, "vae", 0.2, bits=0.5), generative(make_run, "gan", 0.1)
    section = comparison([vae, gan])
    assert [row[0] for row in section.tables[0].rows] == ["gan", "vae"]
    assert "not ranked" not in section.tables[0].note
    assert lead([vae, gan]) == "Best of 2: gan (gan on mnist): Kernel distance 0.1 on 10,000 test images."
    # Of their settings only those that mean the same for any model are shown: not the batch size, nor "extra".
    columns = section.tables[0].columns
    assert columns[:2] == ["run", "recipe"]
    assert "extra" not in columns


def test_distances_between_other_features_rank_nothing(make_run):
    vae, gan = generative(make_run, "vae", 0.2, bits=0.5), generative(make_run, "gan", 0.1, note="features of another")
    assert [row[0] for row in comparison([vae, gan]).tables[0].rows] == ["vae", "gan"]
    assert lead([vae, gan]) == ""


def test_bounds_under_other_conditions_rank_nothing_even_if_all_have_distances(make_run):
    """Two headlines of one key: their conditions decide."""
    vae = generative(make_run, "vae", 0.2, bits=0.5)
    found = Measured(vae.measured().measurements, conditions="256 grey levels")
    flow = make_run("flow", recipe="coupling-flow", measured=found)
    assert lead([vae, flow]) == ""
    assert "not ranked" in comparison([vae, flow]).tables[0].note


def test_shares_between_other_features_are_not_compared_by_example(measured_run):
    (first, _), (second, _) = measured_run("first", 1), measured_run("second", 2)
    found = second.measured()
    noted = [replace(one, note="features of another net") for one in found.measurements]
    with second.bound({"data": "sha256:same"}):
        second.record(replace(found, measurements=noted, per_example=second.per_example()), split="test", images=N)
    assert not paired(comparison([first, second]))
