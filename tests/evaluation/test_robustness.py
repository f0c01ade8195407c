"""``evaluate_robustness`` against closed forms, against attacks that cheat, and what it promises its caller."""

import csv
import inspect
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from robust_samples import ATTACKS, Linear, Push, digits, evaluate, evaluated, few, linear_task, trained
from torch import Generator, Tensor, nn

from epslab import seeds
from epslab.attacks import FGSM, PGD, Attack, Attacked, LeastLikely, RandomNoise, Restarts, Transfer, WorstCase
from epslab.errors import UserError
from epslab.evaluation import RadiusSweep, evaluate_robustness
from epslab.evaluation.findings import evidence
from epslab.geometry import L1, L2, Ball, Linf
from epslab.types import Classifier, Images, Labels

PLAIN: dict[str, Any] = {"sweep": None, "findings": False}


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks' own attacks are not the subject here: a step or two will do."""

    monkeypatch.setattr(evidence, "reference_attacks", few)


@dataclass(frozen=True)
class Returning:
    """An attack that returns what a function makes of the images, and claims what it likes."""

    make: Callable[[Images], Tensor]
    claim: bool = True
    ball: Ball | None = None

    @property
    def norm(self) -> str:
        return "l2" if self.ball is None else str(self.ball.norm)

    @property
    def radius(self) -> float:
        return math.inf if self.ball is None else float(self.ball.radius)

    def part(self, index: Tensor) -> "Returning":
        return self

    def thorough(self) -> "Returning":
        return self

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: Generator | None = None,
        seeds: Tensor | None = None,
    ) -> Attacked:
        zero = torch.zeros_like(labels)
        return Attacked(self.make(images), (zero + self.claim).bool(), zero.double(), zero, zero)


# --- accuracies


@pytest.mark.parametrize("ball", [Linf(0.02), L2(0.05), L1(0.1)])
def test_on_a_linear_model_robust_accuracy_and_sweep_are_the_closed_form(ball: Ball) -> None:
    model, x, y = linear_task(dtype=torch.float64)
    with torch.no_grad():
        signed = (model(x)[:, 1]) * (2 * y - 1)
    # How far the boundary is: |s|/‖w‖ in the dual norm; FGSM's step is the shortest way there. L1 moves one pixel.
    reach = signed / ball.dual(model.weight.detach()[None, :, None, None])
    radii = tuple(float(ball.radius) * f for f in (0.5, 1.0, 2.0))
    report = evaluate_robustness(
        model, x, y, {"fgsm": FGSM(ball)}, sweep=RadiusSweep(radii=radii, attack=FGSM), findings=False
    )
    assert report.clean_accuracy.successes == int((signed > 0).sum()) == 37
    assert report.robust_accuracy["fgsm"].successes == int((reach > float(ball.radius)).sum())
    assert report.sweep is not None
    assert [share.successes for share in report.sweep.accuracy] == [int((reach > r).sum()) for r in radii]
    assert len({share.successes for share in report.sweep.accuracy}) == 3
    assert 0 < report.robust_accuracy["fgsm"] < report.clean_accuracy
    assert report.sweep.norm == ball.norm
    broken = report.attacks["fgsm"].broken & report.right
    assert (report.attacks["fgsm"].distance[broken] <= float(ball.radius)).all()
    torch.testing.assert_close(report.margins, 2 * signed, rtol=1e-12, atol=1e-12)


def test_an_example_wrong_without_an_attack_is_broken_under_every_attack() -> None:
    """Also where the attack, of another model, happens to correct it."""
    model, x, y = linear_task()
    wrong = model(x).argmax(1) != y

    def correct(images: Images) -> Images:
        """To where the model says the label, for those it gets wrong."""
        direction = model.weight.detach().sign().view(1, 3, 2, 2)
        sign = torch.where(y[:, None, None, None] == 1, 1.0, -1.0)
        return torch.where(wrong[:, None, None, None], (images + 0.5 * sign * direction).clamp(0, 1), images)

    report = evaluate_robustness(model, x, y, {"kind": Returning(correct)}, **PLAIN)
    assert (report.attacks["kind"].predictions == y).all()
    assert report.robust_accuracy["kind"] == report.clean_accuracy == 37 / 40


def test_the_attacks_word_is_not_believed() -> None:
    model, x, y = linear_task()
    liars = {"boasts": Returning(lambda x: x, claim=True), "hides": Returning(torch.zeros_like, claim=False)}
    report = evaluate_robustness(model, x, y, liars, **PLAIN)
    assert report.robust_accuracy["boasts"] == report.clean_accuracy
    zeros = model(torch.zeros_like(x)).argmax(1)
    assert report.robust_accuracy["hides"].successes == int(((zeros == y) & report.right).sum()) < 37
    torch.testing.assert_close(report.attacks["hides"].distance, x.double().flatten(1).norm(dim=1))
    assert report.to_dict()["attacks"]["boasts"]["overclaimed"] == 37


@pytest.mark.parametrize(
    ("make", "ball"),
    [
        (lambda x: x + 0.1 * (1 + 1e-6), Linf(0.1)),
        (lambda x: x + 0.03, L2(0.1)),
        (lambda x: x - 1.0, None),
        (lambda x: x + torch.nan, None),
        (lambda x: x + torch.nan, Linf(0.1)),
        (lambda x: x.double(), None),
        (lambda x: x[:-1], None),
    ],
)
def test_an_attack_that_breaks_its_rules_is_named(make: Callable[[Images], Tensor], ball: Ball | None) -> None:
    model, x, y = linear_task()
    with pytest.raises(UserError, match=r"The attack 'cheat' (breaks its rules at example \d+|returned images)"):
        evaluate_robustness(model, x, y, {"fine": FGSM(Linf(0.1)), "cheat": Returning(make, ball=ball)}, **PLAIN)


def test_a_cheat_within_other_attacks_is_caught_by_the_ball_of_the_parts() -> None:
    model, x, y = linear_task()
    cheat = Returning(lambda x: x + 0.11, ball=Linf(0.1))
    for attack in (WorstCase((FGSM(Linf(0.05)), cheat)), Transfer(model, cheat)):
        with pytest.raises(UserError, match="breaks its rules"):
            evaluate_robustness(model, x, y, {"whole": attack}, **PLAIN)


def test_the_worst_case_is_per_example_and_intervals_are_clopper_and_pearsons() -> None:
    model, x, y = linear_task()
    rows = torch.arange(40)[:, None, None, None]
    fooling = FGSM(Linf(0.3))(model, x, y).images

    def only(chosen: Tensor) -> Attack:
        return Returning(lambda x: torch.where(chosen, fooling, x))

    attacks: dict[str, Attack] = {"first": only(rows < 15), "last": only(rows > 30), "none": only(rows < 0)}
    report = evaluate_robustness(model, x, y, attacks, **PLAIN)
    standing = [share.successes for share in report.robust_accuracy.values()]
    assert standing == [25, 28, 37]  # of the first 15, 3 are wrong without an attack
    assert report.worst_case.successes == 16
    low, high = report.interval("worst-case")
    k, n = report.worst_case.successes, report.worst_case.n
    # By definition: so many or more (or fewer) happen with probability 2.5 % at either end.
    at_least = sum(math.comb(n, i) * low**i * (1 - low) ** (n - i) for i in range(k, n + 1))
    at_most = sum(math.comb(n, i) * high**i * (1 - high) ** (n - i) for i in range(k + 1))
    assert (at_least, at_most) == pytest.approx((0.025, 0.025), rel=1e-6)
    narrow = report.interval("last", confidence=0.5)
    assert report.interval("last")[0] < narrow[0] < report.robust_accuracy["last"] < narrow[1]
    assert report.interval("clean") == report.clean_accuracy.interval()
    with pytest.raises(UserError, match=r"Unknown attack 'lats'\. Did you mean 'last'"):
        report.interval("lats")


def test_a_goal_of_its_own_does_not_change_what_counts() -> None:
    x, y = digits()
    report = evaluate_robustness(trained(), x, y, {"far": LeastLikely(Linf(0.2), steps=5)}, **PLAIN)
    result = report.attacks["far"]
    assert int(result.claimed.sum()) < int(result.broken.sum())
    assert torch.equal(result.broken, (result.predictions != y) | ~report.right)


# --- 8 bits


def test_rounding_stays_in_the_ball_and_survival_is_measured_on_the_rounded_images(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    model, x, y = linear_task()
    attacks: dict[str, Attack] = {
        "eight": FGSM(Linf(8 / 255)),
        "half": FGSM(Linf(2.5 / 255)),
        "small": FGSM(L2(1.2 / 255)),
        "one": FGSM(L1(3.3 / 255)),
    }
    report = evaluate_robustness(model, x, y, attacks, out=tmp_path, **PLAIN)
    for name, attack in attacks.items():
        (file,) = (tmp_path / "results" / "attacks" / name).iterdir()
        parts = load_file(file)
        pixels, levels = parts["pixels"].double(), (x.double() * 255).round()
        ball: Ball = attack.ball  # type: ignore[attr-defined]
        assert (ball.distance(pixels / 255, levels / 255) <= float(ball.radius) * (1 + 1e-9)).all()
        broken = model(parts["pixels"].float() / 255).argmax(1) != y
        assert torch.equal(report.attacks[name].broken_rounded, broken | ~report.right)
        assert parts["images"].dtype == torch.float32
    steps = load_file(next((tmp_path / "results/attacks/eight").iterdir()))["pixels"].double() - (x * 255).round()
    assert steps[report.right].abs().unique().tolist() == [8.0]  # 7.9999998 is a whole step
    steps = load_file(next((tmp_path / "results/attacks/half").iterdir()))["pixels"].double() - (x * 255).round()
    assert steps[report.right].abs().max() == 2.0
    some = torch.stack([r.broken_rounded for r in report.attacks.values()]).any(0)
    assert report.survival == pytest.approx(float(some[report.broken & report.right].double().mean()))
    assert report.to_table().rows[1][-1] == pytest.approx(
        1 - float(report.attacks["eight"].broken_rounded.double().mean())
    )


def test_images_that_are_not_of_8_bits_have_no_survival() -> None:
    model, x, y = linear_task()
    report = evaluate_robustness(model, x + 0.3 / 255, y, {"fgsm": FGSM(Linf(0.1))}, sweep=None)
    assert report.survival is None
    assert {row[-1] for row in report.to_table().rows} == {None}
    assert report.findings[-1].evidence == "The images themselves are not of 8 bits."


# --- the report


def test_tables_have_a_cell_for_each_column_and_agree_with_the_accuracies() -> None:
    report = evaluated()
    table = report.to_table()
    assert [row[0] for row in table.rows] == ["clean", "noise", "fgsm", "pgd", "worst-case"]
    for table_ in (table, report.curve(), report.per_class(), report.examples()):
        assert {len(row) for row in table_.rows} == {len(table_.columns)}
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for name in ("noise", "fgsm", "pgd"):
        result, row = report.attacks[name], rows[name]
        own = result.broken & report.right
        assert row["accuracy"] == report.robust_accuracy[name]
        assert (row["low"], row["high"]) == report.interval(name)
        assert row["broken"] == pytest.approx(float(own.sum() / report.right.sum()))
        assert row["median distance"] == (float(result.distance[own].median()) if own.any() else None)
        sorted_ = result.distance[own].sort().values
        for part in (0.1, 0.9):
            expected = float(sorted_[math.floor(part * (len(sorted_) - 1))]) if len(sorted_) else None
            assert row[f"distance at {100 * part:.0f} %"] == expected
        assert row["queries"] == pytest.approx(float(result.queries.double().mean()))
        assert row["gradients"] == pytest.approx(float(result.gradients.double().mean()))
    assert rows["noise"]["gradients"] == 0.0
    assert rows["pgd"]["gradients"] > 0.5
    per_class = report.per_class(classes=[f"digit {i}" for i in range(10)])
    assert sum(row[1] for row in per_class.rows) == 70  # type: ignore[misc]
    average = sum(row[1] * row[-1] for row in per_class.rows) / 70  # type: ignore[operator, misc]
    assert average == pytest.approx(float(report.worst_case))
    assert per_class.rows[0][0] == "digit 0"


@dataclass(frozen=True)
class Minimal(Returning):
    """Without a ball, and with a norm of its choice."""

    measured_in: str = "l2"

    @property
    def norm(self) -> str:
        return self.measured_in


def test_an_attack_without_a_ball_is_measured_in_its_own_norm_and_by_its_distances() -> None:
    """Each image is moved along the weights, to just beyond the plane: the distance is |s|/‖w‖ in the dual norm."""
    model, x, y = linear_task(dtype=torch.float64)
    with torch.no_grad():
        s = model(x)[:, 1]
    w = model.weight.detach()
    for norm, way, dual in (("l2", w / w.norm(), w.norm()), ("linf", w.sign(), w.abs().sum())):
        step = (s / dual * 1.01)[:, None] * way

        attack = Minimal(
            measured_in=norm,
            make=lambda x, step=step: x - step.view_as(x) * (model(x).argmax(1) == y).view(-1, 1, 1, 1),
        )  # type: ignore[misc]
        report = evaluate_robustness(model, x, y, {"minimal": attack}, **PLAIN)
        result, table = report.attacks["minimal"], report.to_table()
        assert (result.norm, result.radius) == (norm, math.inf)
        assert report.worst_case == 0
        expected = (1.01 * s.abs() / dual)[report.right]
        torch.testing.assert_close(result.distance[report.right], expected)
        row = dict(zip(table.columns, table.rows[1], strict=True))
        assert (row["norm"], row["median distance"]) == (norm, pytest.approx(float(expected.median())))
        assert row["distance at 10 %"] < row["median distance"] < row["distance at 90 %"]  # type: ignore[operator]
        assert report.to_dict()["attacks"]["minimal"]["radius"] is None


def test_an_accuracy_of_zero_makes_a_report_too() -> None:
    model, x, _ = linear_task()
    wrong = 1 - model(x).argmax(1)
    report = evaluate_robustness(model, x, wrong, {"fgsm": FGSM(Linf(0.1))})
    assert report.clean_accuracy == report.worst_case == 0.0
    assert report.to_table().rows[1][4] is None
    assert {f.verdict for f in report.findings if "attack" in f.evidence} == {"not checked"}
    assert report.most_robust() == ()
    json.dumps(report.to_dict(), allow_nan=False)


def test_examples_are_ranked_by_the_radius_that_breaks_them_then_by_margin() -> None:
    model, x, y = linear_task(dtype=torch.float64)
    sweep = RadiusSweep(radii=(0.01, 0.03, 0.05), attack=FGSM)
    report = evaluate_robustness(model, x, y, {"fgsm": FGSM(Linf(0.02))}, sweep=sweep, findings=False)
    least, most = report.least_robust(100), report.most_robust(3)
    # On a linear model the margin decides both.
    order = sorted((i for i in range(40) if report.right[i]), key=lambda i: float(report.margins[i]))
    assert [example.index for example in least] == order
    assert [example.index for example in most] == order[::-1][:3]
    assert most[0].radius == math.inf
    assert least[0].radius == 0.01
    assert report.to_dict()["sweep"]["most_robust"][0]["radius"] is None
    with pytest.raises(UserError, match="there was no sweep"):
        evaluate_robustness(model, x, y, {"fgsm": FGSM(Linf(0.02))}, **PLAIN).most_robust()


def test_the_sweep_keeps_what_is_broken_and_spends_nothing_on_it() -> None:
    asked: list[tuple[float, int]] = []

    @dataclass(frozen=True)
    class Fickle(Push):
        """Succeeds at the smallest radius only."""

        def __call__(self, model: Classifier, images: Images, labels: Labels, **rest: Any) -> Attacked:
            asked.append((float(self.ball.radius), len(images)))
            small = float(self.ball.radius) < 0.02
            return FGSM(self.ball)(model, images, labels) if small else Returning(lambda x: x)(model, images, labels)

    model, x, y = linear_task()
    sweep = RadiusSweep(radii=(0.01, 0.1, 0.2), norm="linf", attack=Fickle)
    report = evaluate_robustness(model, x, y, {"far": Returning(lambda x: x)}, sweep=sweep, findings=False)
    assert report.sweep is not None
    accuracies = [share.successes for share in report.sweep.accuracy]
    assert accuracies[0] == accuracies[1] == accuracies[2] < 37
    assert asked == [(0.01, 37), (0.1, accuracies[0]), (0.2, accuracies[0])]
    index = report.least_robust(1)[0].index
    image = report.adversarial("sweep", [index])
    assert model(image).argmax(1) != y[index]
    assert Linf(0.01).distance(image, x[[index]]) <= 0.01


def test_the_sweep_goes_on_from_the_radius_before() -> None:
    """One step at a time, eight radii: only what goes on from the radius before can come far."""
    model, (images, labels) = trained(), digits()
    x, y = images[:60], labels[:60]
    radii = tuple(0.01 * k for k in range(1, 9))

    def few_steps(ball: Ball) -> PGD:
        return PGD(ball, steps=1, step_size=0.012)

    def cold(ball: Ball) -> Attack:
        return Restarts(few_steps(ball), 1)

    swept = {
        name: evaluate_robustness(
            model, x, y, {"fgsm": FGSM(Linf(0.02))}, sweep=RadiusSweep(radii, "linf", make), findings=False
        ).sweep
        for name, make in (("warm", few_steps), ("cold", cold))
    }
    warm, from_noise = swept["warm"], swept["cold"]
    assert warm is not None
    assert from_noise is not None
    assert warm.accuracy[-1].successes < from_noise.accuracy[-1].successes - 5
    assert warm.gradients.sum() < from_noise.gradients.sum()


def test_the_default_sweep_is_around_the_first_ball_and_there_is_none_without() -> None:
    model, x, y = linear_task()
    attacks: dict[str, Attack] = {"still": Returning(lambda x: x), "none": FGSM(Linf(0.0)), "fgsm": FGSM(L2(0.4))}
    attacks["other"] = FGSM(Linf(0.1))
    report = evaluate_robustness(model, x, y, attacks, findings=False)
    assert report.sweep is not None
    assert (report.sweep.norm, report.sweep.radii[0], report.sweep.radii[-1]) == ("l2", 0.05, 1.6)
    report = evaluate_robustness(model, x, y, {"still": Returning(lambda x: x)})
    assert report.sweep is None
    assert report.curve().rows == ()
    names = {f.name for f in report.findings if f.evidence.startswith("No attack has a ball")}
    assert len(names) == 7


def test_files_say_what_the_report_says(tmp_path: Path) -> None:
    report = evaluated()
    report.write(tmp_path / "new")
    folder = tmp_path / "new"
    assert json.loads((folder / "robustness.json").read_text()) == json.loads(json.dumps(report.to_dict()))
    for name, table in (("robustness", report.to_table()), ("sweep", report.curve()), ("examples", report.examples())):
        with (folder / f"{name}.csv").open() as file:
            rows = list(csv.reader(file))
        assert rows[0] == list(table.columns)
        assert rows[1:] == [["" if cell is None else str(cell) for cell in row] for row in table.rows]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        report.write(tmp_path / "file")


def test_without_a_folder_the_first_images_are_kept() -> None:
    report = evaluated()
    x, _ = digits()
    images = report.adversarial("pgd", [5, 0, 63])
    assert torch.equal(trained()(images).argmax(1), report.attacks["pgd"].predictions[[5, 0, 63]])
    assert (Linf(0.1).distance(images, x[[5, 0, 63]]) <= 0.1).all()
    with pytest.raises(UserError, match=r"of example 64 is not kept.*give `out=`"):
        report.adversarial("pgd", [1, 64])
    with pytest.raises(UserError, match="Unknown attack 'clean'"):
        report.adversarial("clean", [0])


# --- independence


def same_numbers(a: Any, b: Any) -> None:
    left, right = a.examples(), b.examples()
    assert set(left.columns) == set(right.columns)
    by_name = dict(zip(right.columns, zip(*right.rows, strict=True), strict=True))
    for name, values in zip(left.columns, zip(*left.rows, strict=True), strict=True):
        assert values == pytest.approx(by_name[name][: len(values)], rel=1e-4, abs=1e-4), name


def test_results_depend_neither_on_batch_size_nor_on_the_order_of_attacks_but_on_the_seed() -> None:
    reference = evaluate(n=20, batch_size=20, findings=True)
    for size, n in ((1, 8), (11, 20), (500, 20)):
        other = evaluate(n=n, batch_size=size, findings=n == 20)
        same_numbers(other, reference)
        assert n < 20 or [f.to_dict() for f in other.findings] == [f.to_dict() for f in reference.findings]
    x, y = digits()
    attacks = dict(reversed(ATTACKS.items()))
    sweep = RadiusSweep(radii=(0.05, 0.1, 0.2), attack=FGSM)
    other = evaluate_robustness(trained(), x[:20], y[:20], attacks, seed=4, sweep=sweep, findings=False, batch_size=20)
    same_numbers(other, reference)
    assert not torch.equal(evaluate(n=20, seed=5).adversarial("noise", [1]), reference.adversarial("noise", [1]))


def test_every_batch_is_told_of(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None, bool]] = []
    report = evaluate(tmp_path, on_batch=lambda *batch: told.append(batch))
    jobs = ("clean", "attacks/noise", "attacks/fgsm", "attacks/pgd", "sweep")
    assert [(job, examples) for job, examples, _, _ in told] == [(job, n) for job in jobs for n in (20, 20, 20, 10)]
    pgd = sum(right or 0 for job, _, right, _ in told if job == "attacks/pgd")
    assert pgd == int((report.attacks["pgd"].predictions == report.labels).sum())
    assert all(fresh for *_, fresh in told)
    told.clear()
    evaluate(tmp_path, resume=True, on_batch=lambda *batch: told.append(batch))
    assert not any(fresh for *_, fresh in told)
    assert sum(right or 0 for job, _, right, _ in told if job == "attacks/pgd") == pgd


def test_an_examples_noise_is_its_own_and_the_attacks() -> None:
    x, y = digits()
    twins = x[:1].repeat(3, 1, 1, 1)
    attacks: dict[str, Attack] = {
        "a": RandomNoise(Linf(0.1), leave_early=False),
        "b": RandomNoise(Linf(0.1), leave_early=False),
    }
    report = evaluate_robustness(trained(), twins, y[:1].repeat(3), attacks, **PLAIN)
    a, b = report.adversarial("a", [0, 1, 2]), report.adversarial("b", [0, 1, 2])
    assert not torch.equal(a[0], a[1])
    assert not torch.equal(a[0], b[0])


def test_the_model_comes_back_as_it_was_also_after_an_exception() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10))
    net[1].eval()
    net[0].weight.requires_grad_(False)
    net[4].weight.grad = torch.ones_like(net[4].weight)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    x, y = digits()

    @dataclass(frozen=True)
    class Rude(Push):
        """Leaves its traces, draws from torch's generator, and fails at the end."""

        fails: bool = False

        def __call__(self, model: Classifier, images: Images, labels: Labels, **rest: Any) -> Attacked:
            torch.rand(3)
            assert isinstance(model, nn.Module)
            assert not any(module.training for module in model.modules())
            model.train()
            model[4].weight.requires_grad_(False)  # type: ignore[index, union-attr]
            model[4].weight.grad = None  # type: ignore[index, union-attr]
            model.eval()
            if self.fails:
                raise RuntimeError("rude")
            return super().__call__(model, images, labels, **rest)

    before = torch.random.get_rng_state()
    evaluate_robustness(net, x[:9], y[:9], {"rude": Rude(Linf(0.1))})
    with pytest.raises(RuntimeError, match="rude"):
        evaluate_robustness(net, x[:9], y[:9], {"rude": Rude(Linf(0.1), fails=True)}, **PLAIN)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [module.training for module in net.modules()] == [True, True, False, True, True, True]
    assert [p.requires_grad for p in net.parameters()] == [False, True, True, True, True, True]
    assert torch.equal(net[4].weight.grad, torch.ones_like(net[4].weight))
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())


def test_any_function_and_any_precision() -> None:
    model, x, y = linear_task()
    wide = Linear(model.weight.detach().double(), model.bias.item())
    attacks: dict[str, Attack] = {"fgsm": FGSM(Linf(0.05))}
    reference = evaluate_robustness(model, x, y, attacks, sweep=None)
    as_function = evaluate_robustness(lambda images: model(images), x, y, attacks, sweep=None)
    assert as_function.to_table() == reference.to_table()
    assert [f.to_dict() for f in as_function.findings] == [f.to_dict() for f in reference.findings]
    double = evaluate_robustness(wide, x, y, attacks, **PLAIN)
    assert double.robust_accuracy == reference.robust_accuracy
    assert double.adversarial("fgsm", [0]).dtype == torch.float64
    half = evaluate_robustness(Linear(model.weight.detach().bfloat16(), model.bias.item()), x, y, attacks, **PLAIN)
    assert half.clean_accuracy > 0.8
    integers = evaluate_robustness(model, x, y.to(torch.int32), attacks, **PLAIN)
    assert integers.robust_accuracy == reference.robust_accuracy


# --- refusals


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"attacks": {}}, "There are no attacks"),
        ({"attacks": {"a/b": FGSM(Linf(0.1))}}, "'a/b' cannot name an attack"),
        ({"attacks": {"..": FGSM(Linf(0.1))}}, "cannot name an attack"),
        ({"attacks": {"": FGSM(Linf(0.1))}}, "cannot name an attack"),
        ({"attacks": {"clean": FGSM(Linf(0.1))}}, "cannot be named 'clean'"),
        ({"attacks": {"worst-case": FGSM(Linf(0.1))}}, "cannot be named 'worst-case'"),
        ({"attacks": {"sweep": FGSM(Linf(0.1))}}, "cannot be named 'sweep'"),
        ({"attacks": {"each": FGSM(Linf(torch.ones(40)))}}, "'each' has a radius per example"),
        ({"attacks": {"fgsm": FGSM}}, r"give an attack with its settings: PGD\(Linf\(8/255\)\)"),
        ({"attacks": {"fgsm": Linf(0.1)}}, "give an attack with its settings"),
        ({"labels": torch.zeros(7, dtype=torch.int64)}, "40 images and 7 labels"),
        ({"labels": torch.full((40,), 2)}, r"Labels run from 2 to 2, but the model has 2 classes"),
        ({"labels": torch.full((40,), -1)}, r"Labels run from -1 to -1"),
        ({"labels": torch.zeros(40)}, "class indices, one per image"),
        ({"images": torch.full((40, 3, 2, 2), 128, dtype=torch.uint8)}, "images / 255 for bytes"),
        ({"images": torch.full((40, 3, 2, 2), 1.5)}, r"must lie in \[0, 1\]"),
        ({"images": torch.full((40, 3, 2, 2), torch.nan)}, r"must lie in \[0, 1\]"),
        ({"images": torch.zeros(0, 3, 2, 2), "labels": torch.zeros(0, dtype=torch.int64)}, "no images"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"model": lambda x: x.flatten(1) * torch.nan}, "NaN or infinite logits"),
        ({"model": lambda x: x}, r"logits \[n classes\]"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_is_written(
    change: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    model, x, y = linear_task()
    arguments = {
        "model": model,
        "images": x,
        "labels": y,
        "attacks": {"fgsm": FGSM(Linf(0.1))},
        "out": tmp_path / "new",
    }
    call = inspect.unwrap(evaluate_robustness)
    with pytest.raises(UserError, match=sentence):
        call(**(arguments | change))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"radii": ()}, "ascending order"),
        ({"radii": (0.1, 0.1)}, "ascending order"),
        ({"radii": (0.0, 0.1)}, "ascending order"),
        ({"radii": (0.1, math.inf)}, "ascending order"),
        ({"norm": "linf"}, "needs radii too"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        RadiusSweep(**arguments)


def test_a_sweep_without_a_norm_needs_an_attack_with_a_ball() -> None:
    model, x, y = linear_task()
    with pytest.raises(UserError, match="give the sweep a norm"):
        evaluate_robustness(model, x, y, {"still": Returning(lambda x: x)}, sweep=RadiusSweep(radii=(0.1,)))


def test_settings_stand_in_the_report() -> None:
    model, x, y = linear_task()
    report = evaluate_robustness(model, x, y, {"pgd": replace(PGD(Linf(0.1)), steps=3)}, **PLAIN)
    assert "steps=3" in report.attacks["pgd"].settings
    assert "0x" not in report.attacks["pgd"].settings
    assert report.attacks["pgd"].radius == 0.1
    assert seeds.stream(0) != seeds.stream(1)
