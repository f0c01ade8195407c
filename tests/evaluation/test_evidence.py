"""What the checks are told: probes of a model, and the results of finished jobs, on the checks' own examples."""

import pytest
import torch
from torch import Tensor

from epslab.attacks import FGSM, PGD, Attack, RandomNoise
from epslab.evaluation.findings import Checks
from epslab.evaluation.findings.evidence import EXAMPLES, TOGETHER, Outcome, any_of, reference_attacks
from epslab.evaluation.findings.probes import alone, probe
from epslab.evaluation.portions import Portion
from epslab.evaluation.robustness_store import MemoryStore
from epslab.geometry import L2, Linf
from epslab.types import Images, Logits

BALL = Linf(0.1)


def portion_of(pixels: list[list[float]], labels: list[int]) -> Portion:
    """Images of four pixels."""
    x, indices = torch.tensor(pixels).view(-1, 1, 2, 2), torch.arange(len(pixels))
    return Portion(indices, x, torch.tensor(labels), x.to(torch.uint8), torch.ones(len(x)).bool(), indices)


def test_a_probe_tells_gradients_that_are_zero_everywhere_or_not_finite_somewhere() -> None:
    """d/dx of (x_0² + √x_1·[x_2 > 0], 0): zero in most places, everywhere at x_0 = 0, infinite at x_1 = 0."""

    def model(images: Images) -> Logits:
        x = images.flatten(1)
        first = x[:, 0] ** 2 + torch.where(x[:, 2] > 0, x[:, 1].sqrt(), 0)
        return torch.stack([first, torch.zeros_like(first)], 1)

    portion = portion_of([[0.0, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0.5, 0.0, 1, 0], [0.5, 0.25, 1, 0]], [0, 0, 1, 1])
    found = probe(model, portion)
    assert found["zero"].tolist() == [True, False, False, False]
    assert found["not_finite"].tolist() == [False, False, True, False]
    first = torch.tensor([0.0, 0.25, 0.25, 0.75], dtype=torch.float64)
    torch.testing.assert_close(found["total"], first)
    torch.testing.assert_close(found["highest"], first)
    torch.testing.assert_close(found["lowest"], 0 * first)
    torch.testing.assert_close(found["normaliser"], (first.exp() + 1).log())
    assert found["repeat"].tolist() == [0] * 4
    assert not found["flipped"].any()


@pytest.mark.parametrize("size", [1.0, 1e-6])
def test_a_probe_compares_two_answers_relative_to_the_largest_logit(size: float) -> None:
    answers = iter([[[9.0, 9.0]] * 2, [[1.0, 2.0], [-8.0, -9.0]], [[1.0, 4.5], [-9.0, -8.0]]])
    found = probe(lambda images: size * torch.tensor(next(answers)), portion_of([[0.5] * 4] * 2, [0, 1]))
    assert found["repeat"].tolist() == pytest.approx([2.5 / 9, 1 / 9])
    assert found["flipped"].tolist() == [False, True]
    assert found["total"].tolist() == pytest.approx([3 * size, -17 * size])
    assert found["lowest"].tolist() == pytest.approx([1 * size, -9 * size])
    assert found["highest"].tolist() == pytest.approx([2 * size, -8 * size])
    silent = probe(lambda images: torch.zeros(2, 3), portion_of([[0.5] * 4] * 2, [0, 1]))
    assert silent["repeat"].tolist() == [0, 0]


def test_alone_compares_the_batch_with_each_of_its_examples() -> None:
    def model(images: Images) -> Logits:
        return images.flatten(1)[:, :2] * 4 + torch.tensor([0.0, 1.0]) * (len(images) - 1)

    found = alone(model, portion_of([[0.25, 0.0, 0, 0], [0.5, 0.0, 0, 0], [0.0, 0.5, 0, 0]], [0, 0, 0]))
    assert found["repeat"].tolist() == pytest.approx([2 / 4] * 3)  # the largest logit in the batch is 4·0.5 + 2
    assert found["flipped"].tolist() == [True, False, False]  # 2 and 2: the first class is kept


def rows(right: list[int], rounded: list[int], gradients: int, moved: list[int] | None = None) -> dict[str, Tensor]:
    return {
        "distance": torch.zeros(len(right)) if moved is None else torch.tensor(moved) * 0.1,
        "right": torch.tensor(right).bool(),
        "right_rounded": torch.tensor(rounded).bool(),
        "gradients": torch.tensor([0] * (len(right) - 1) + [gradients]),
        "images": torch.zeros(len(right), 1, 2, 2),
    }


def test_evidence_is_of_the_chosen_examples_that_are_right_without_an_attack() -> None:
    """Six of eight are looked at, of which five are right: 1, 2, 5, 6 and 7."""
    mine, noise = FGSM(BALL), RandomNoise(L2(1.0))
    checks = Checks({"mine": mine, "noise": noise}, BALL, torch.tensor([1, 2, 3, 5, 6, 7]))
    store = MemoryStore()
    whole = torch.arange(8)
    eight_bit = torch.arange(8) > 0  # all but one that is not looked at
    store.write("clean", whole, {"right": torch.tensor([1, 1, 1, 0, 1, 1, 1, 1]).bool(), "eight_bit": eight_bit})
    #                                           0  1  2  3  4  5  6  7      right in 8 bits
    moved = [0, 0, 0, 0, 0, 0, 0, 1]
    store.write("attacks/mine", whole, rows([0, 0, 1, 0, 0, 0, 0, 1], [1, 0, 0, 1, 1, 1, 0, 0], 1, moved))
    # Moved are only one that is not looked at, and one that is wrong without an attack.
    store.write("attacks/noise", whole, rows([0, 1, 1, 0, 0, 1, 1, 0], [0] * 8, 0, [1, 0, 0, 1, 0, 0, 0, 0]))
    for name in reference_attacks(BALL):
        store.write(f"checks/{name}", checks.indices, rows([1, 0, 0, 1, 1, 1], [1, 1, 0, 1, 1, 0], name == "half"))
    looks = {"zero": torch.ones(6).bool()}
    store.write("checks/probe", checks.indices, looks)
    store.write("checks/alone", checks.indices, looks)
    found = checks.evidence(store, 1e-7)
    assert (found.right, found.ball, found.eight_bit, found.epsilon) == (5, BALL, True, 1e-7)
    assert found.given["mine"].broken.tolist() == [True, False, True, True, False]
    # Broken by the attack and also in 8 bits: 7 is wrong in 8 bits alone, which is none of the attack's.
    assert found.given["mine"].survives.tolist() == [True, False, False, True, False]
    assert (found.given["mine"].white_box, found.given["noise"].white_box) == (True, False)
    assert (found.given["mine"].moved, found.given["noise"].moved) == (True, False)
    assert found.given["noise"].broken.tolist() == [False, False, False, False, True]
    assert found.comparable().keys() == {"mine"}
    assert found.reference["one-step"].attack is mine  # which is the same attack, and not run again
    assert found.reference["one-step"].broken.tolist() == found.given["mine"].broken.tolist()
    assert found.reference["half"].broken.tolist() == [False, True, False, False, False]
    assert found.reference["half"].survives.tolist() == [False, False, False, False, False]
    assert (found.reference["half"].white_box, found.reference["double"].white_box) == (True, False)
    assert found.probes["zero"].all()
    assert found.alone is not None
    single = Checks({}, None, torch.tensor([2]))
    store.write("checks/probe", torch.tensor([2]), {"zero": torch.ones(1).bool()})
    assert single.evidence(store, 1e-7).alone is None


def test_one_image_that_is_not_of_8_bits_shows_in_the_evidence() -> None:
    store = MemoryStore()
    store.write("clean", torch.arange(3), {"right": torch.ones(3).bool(), "eight_bit": torch.tensor([1, 1, 0]).bool()})
    for job in ("checks/probe", "checks/alone"):
        store.write(job, torch.arange(3), {"zero": torch.ones(3).bool()})
    assert not Checks({}, None, torch.arange(3)).evidence(store, 1e-7).eight_bit
    pair = Checks({}, None, torch.arange(2)).evidence(store, 1e-7)
    assert pair.eight_bit
    assert pair.alone is not None


def test_what_any_of_several_attacks_breaks() -> None:
    masks = torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0]]).bool()
    attacks: list[Attack] = [FGSM(BALL), PGD(BALL)]
    several = any_of(
        Outcome(attack, mask, mask.flip(0), False, True) for attack, mask in zip(attacks, masks, strict=True)
    )
    assert several.broken.tolist() == [True, True, False, False]
    assert several.survives.tolist() == [False, False, True, True]


def test_jobs_of_the_checks() -> None:
    """Probes of all their examples, some of them together, and the reference attacks that were not given."""
    given: dict[str, Attack] = {"mine": PGD(BALL), "yours": FGSM(L2(0.1))}
    checks = Checks.of(given, BALL, 300, seed=1)
    jobs = {job.name: job for job in checks.jobs(lambda x: x.flatten(1), 1)}
    assert list(jobs)[:2] == ["checks/probe", "checks/alone"]
    assert {name.removeprefix("checks/") for name in list(jobs)[2:]} == reference_attacks(BALL).keys() - {"iterated"}
    assert {len(job.indices) for name, job in jobs.items() if name != "checks/alone"} == {EXAMPLES} == {256}
    together = jobs["checks/alone"]
    assert together.whole
    assert together.indices.tolist() == checks.indices[:TOGETHER].tolist()
    assert len(together.indices) == 32
    assert not any(job.whole for name, job in jobs.items() if name != "checks/alone")
    assert [name for name, job in jobs.items() if not job.counts] == ["checks/probe", "checks/alone"]
    assert [job.name for job in Checks({}, None, torch.arange(1)).jobs(lambda x: x, 0)] == ["checks/probe"]
    assert [job.name for job in Checks({}, None, torch.arange(2)).jobs(lambda x: x, 0)] == list(jobs)[:2]


def test_the_reference_attacks_search_more_and_more() -> None:
    attacks = reference_attacks(BALL)
    assert {name: float(attack.radius) for name, attack in attacks.items()} == {
        "one-step": 0.1, "iterated": 0.1, "noise": 0.1, "search": 0.1, "half": 0.05, "double": 0.2, "unbounded": 1.0,
        "thorough": 0.1,
    }  # fmt: skip
    assert attacks["noise"].draws == 1  # type: ignore[attr-defined]
    assert attacks["search"].draws == 100  # type: ignore[attr-defined]
    assert not attacks["unbounded"].random_start  # type: ignore[attr-defined]
    assert attacks["unbounded"].norm == "linf"
    assert {part.steps for part in attacks["thorough"].attacks} == {100}  # type: ignore[attr-defined]
    assert [part.restarts for part in attacks["thorough"].attacks] == [3, 1]  # type: ignore[attr-defined]
