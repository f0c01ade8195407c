"""What every attack returns: where it lies, what it is worth, what it cost."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from epslab import seeds
from epslab.attacks import PGD, Attacked, RandomNoise, Restarts
from epslab.geometry import Linf
from epslab.seeds import generator

from .attacks import CASES, RADIUS, Case, least_likely_class
from .models import CLASSES, Watched, classifier, images, labels_for, predicted, rugged

ORDERS = {"linf": np.inf, "l2": 2, "l1": 1}


def own_seeds(n: int) -> Tensor:
    return seeds.of_indices(0, torch.arange(n))


def assert_inside(case: Case, result: Tensor, x: Tensor, radius: float | Tensor | None = None) -> None:
    """The ball and the box, by numpy in float64."""
    radius = case.ball().radius if radius is None else radius
    assert result.min() >= 0
    assert result.max() <= 1
    if case.norm is not None:
        delta = (result.double() - x.double()).flatten(1).numpy()
        assert (np.linalg.norm(delta, ORDERS[case.norm], axis=1) <= np.asarray(radius)).all()


def assert_alike(one: Attacked, other: Attacked, **tolerance: float) -> None:
    torch.testing.assert_close(one.images, other.images, **tolerance)
    torch.testing.assert_close(one.distance, other.distance, **tolerance)
    for ours, theirs in zip(one, other, strict=True):
        if not ours.is_floating_point():
            assert torch.equal(ours, theirs)


def test_the_images_of_these_tests_are_partly_found() -> None:
    # Otherwise much of what follows would hold of an attack that does nothing, or for want of anything left to do.
    model, x = classifier(), images(16)
    in_balls = [case for case in CASES if case.norm is not None]
    found = {case.name: case.attack(model, x, predicted(model, x), seeds=own_seeds(16)).success for case in in_balls}
    gradient_based = [success for name, success in found.items() if "random" not in name and name != "transfer"]
    assert all(not success.all() for success in gradient_based)
    assert sum(bool(success.any()) for success in gradient_based) >= len(gradient_based) - 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_inside_the_ball_and_the_box_in_a_float64_check(case: Case, dtype: torch.dtype) -> None:
    model, x = classifier(dtype=dtype), images(dtype=dtype)
    for share in (0.25, 1.0, 4.0):
        result = case.make(case.ball(share))(model, x, labels_for(model, x), seeds=own_seeds(8))
        assert_inside(case, result.images, x, RADIUS[case.norm or "l2"] * share)
        assert result.images.dtype == dtype


def test_radius_zero_returns_the_images_bit_for_bit(case: Case) -> None:
    if case.norm is None:
        pytest.skip("has no radius")
    model, x = classifier(), images()
    result = case.make(case.ball(0.0))(model, x, labels_for(model, x), seeds=own_seeds(8))
    assert torch.equal(result.images, x)
    assert (result.distance == 0).all()


def test_a_radius_per_example_holds_for_each(case: Case) -> None:
    if case.norm is None:
        pytest.skip("has no radius")
    model, x = classifier(), images()
    share = torch.tensor([0.0, 4.0, 0.5, 1.0, 0.1, 2.0, 8.0, 0.0], dtype=torch.float64)
    y = labels_for(model, x)
    result = case.make(case.ball(share))(model, x, y, seeds=own_seeds(8))
    assert_inside(case, result.images, x, RADIUS[case.norm] * share)
    assert torch.equal(result.images[0], x[0])
    alone = case.make(case.ball(2.0))(model, x[5:6], y[5:6], seeds=own_seeds(8)[5:6])
    torch.testing.assert_close(result.images[5:6], alone.images)


def test_the_result_is_detached_and_of_the_same_type_and_memory_format(case: Case) -> None:
    model, y = classifier(), labels_for(classifier(), images())
    formats = [images(), images().contiguous(memory_format=torch.channels_last), images().requires_grad_()]
    plain, *others = [case.attack(model, x, y, seeds=own_seeds(8)) for x in formats]
    for x, result in zip(formats, [plain, *others], strict=True):
        assert result.images.stride() == x.stride()
        assert result.images.dtype == x.dtype
        assert result.images.device == x.device
        assert not any(part.requires_grad for part in result)
        assert [part.dtype for part in result[1:]] == [torch.bool, torch.float64, torch.int64, torch.int64]
        assert all(part.shape == (8,) for part in result[1:])
    for result in others:
        assert torch.equal(result.success, plain.success)
        torch.testing.assert_close(result.images, plain.images, atol=1e-4, rtol=0.0)


def test_success_and_distance_are_those_of_the_returned_images(case: Case) -> None:
    model, x = classifier(), images(12)
    y = labels_for(model, x)
    result = case.attack(model, x, y, seeds=own_seeds(12))
    with torch.no_grad():
        assert torch.equal(result.success, case.success(model(x), model(result.images), y))
    delta = (result.images.double() - x.double()).flatten(1).numpy()
    np.testing.assert_allclose(
        result.distance, np.linalg.norm(delta, ORDERS[case.norm or case.own_norm], axis=1), rtol=1e-12
    )


def test_success_is_measured_in_full_precision_whatever_the_caller_computes_in(case: Case) -> None:
    # A constant in all logits is no matter in full precision, and leaves few digits for their differences in half.
    model, x = classifier(), images(16)
    with torch.no_grad():
        model.head.bias += 200.0
    y = labels_for(model, x)
    with torch.autocast("cpu", torch.bfloat16):
        result = case.attack(model, x, y, seeds=own_seeds(16))
    with torch.no_grad():
        assert torch.equal(result.success, case.success(model(x), model(result.images), y))


def test_success_is_not_what_the_model_says_inside_the_loop(case: Case) -> None:
    if not case.leaves_wrong_alone:
        pytest.skip("asks for the greatest loss, or for a class of its own")
    model, x = classifier(), images()
    y = predicted(model, x)

    def lies_when_differentiated(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        return logits.roll(1, dims=1) if points.requires_grad else logits

    result = case.attack(lies_when_differentiated, x, y, seeds=own_seeds(8))
    assert torch.equal(result.success, predicted(model, result.images) != y)


def test_an_image_already_wrong_comes_back_as_it_came(case: Case) -> None:
    if not case.leaves_wrong_alone:
        pytest.skip("asks for the greatest loss, or for a class of its own")
    model, x = classifier(), images()
    y = labels_for(model, x)
    result = case.attack(model, x, y, seeds=own_seeds(8))
    assert result.success[1]
    assert result.distance[1] == 0
    assert torch.equal(result.images[1], x[1])
    everywhere = case.attack(model, x, (predicted(model, x) + 1) % CLASSES, seeds=own_seeds(8))
    assert everywhere.success.all()
    assert torch.equal(everywhere.images, x)
    assert (everywhere.gradients == 0).all()


class Backwards(torch.autograd.Function):
    """The identity, its gradient negated."""

    @staticmethod
    def forward(ctx: object, points: Tensor) -> Tensor:
        return points.clone()

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return -gradient


def test_what_was_a_success_when_it_was_met_is_one_when_it_is_returned(case: Case) -> None:
    # The gradient leads away from success: one that is met, at the start or by chance, must be kept.
    x, met = images(6), 0
    clean = rugged(x)
    y = clean.argmax(1)
    for i in range(len(x)):
        watched = Watched(lambda points: rugged(Backwards.apply(points)))
        result = case.make(case.ball(3.0))(watched, x[i : i + 1], y[i : i + 1], seeds=own_seeds(6)[i : i + 1])
        answers, asked = torch.cat(watched.answers), torch.cat(watched.asked)
        # APGD asks outside its ball, too, on its way into a smaller one.
        ball = case.ball(3.0)
        inside = ball.distance(asked, x[i : i + 1].expand_as(asked)) <= float(ball.radius) if case.norm else slice(None)
        answers = answers[inside]
        succeeded = case.success(clean[i : i + 1].expand_as(answers), answers, y[i].expand(len(answers)))
        met += int(succeeded.any())
        assert result.success[0] == succeeded.any()
    if case.name in ("pgd-linf", "apgd-l2", "restarts", "random-uniform"):
        assert met > 0


def test_the_same_generator_gives_the_same_result_and_another_does_not_need_to(case: Case) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)
    first = case.attack(model, x, y, generator=generator(3))
    assert_alike(case.attack(model, x, y, generator=generator(3)), first, atol=0.0, rtol=0.0)
    assert_alike(case.attack(model, x, y, seeds=seeds.draw(8, generator(3))), first, atol=0.0, rtol=0.0)
    if case.name in ("pgd-linf", "random-l2", "apgd-l1"):
        assert not torch.equal(case.attack(model, x, y, generator=generator(4)).images, first.images)


def test_an_example_does_not_know_its_batch_mates(case: Case) -> None:
    model, x, own = classifier(dtype=torch.float64), images(10, dtype=torch.float64), own_seeds(10)
    y = labels_for(model, x)
    model.train()
    together = case.attack(model, x, y, seeds=own)
    groups = [torch.tensor([7, 2, 9, 1]), *torch.arange(10)[:, None]]
    for group in groups:
        part = case.attack(model, x[group], y[group], seeds=own[group])
        assert_alike(part, Attacked(*[values[group] for values in together]), atol=1e-9, rtol=0.0)


def test_a_constant_added_to_all_logits_changes_nothing(case: Case) -> None:
    model, x, own = classifier(dtype=torch.float64), images(dtype=torch.float64), own_seeds(8)
    y = labels_for(model, x)
    plain = case.attack(lambda points: model(points), x, y, seeds=own)
    shifted = case.attack(lambda points: model(points) + 1000.0, x, y, seeds=own)
    per_image = case.attack(
        lambda points: model(points) - 50.0 * points.square().mean((1, 2, 3))[:, None], x, y, seeds=own
    )
    assert_alike(shifted, plain, atol=1e-7, rtol=0.0)
    assert_alike(per_image, plain, atol=1e-7, rtol=0.0)


def test_every_call_but_the_last_look_is_a_query_and_every_gradient_is_counted(case: Case) -> None:
    model, x = classifier(), images()
    y = labels_for(model, x)
    watched = Watched(model)
    result = case.attack(watched, x, y, seeds=own_seeds(8))
    calls = sum(len(points) for points in watched.asked)
    assert result.gradients.sum() == sum(watched.differentiated)
    assert (result.gradients <= result.queries).all()
    if case.exact_counts:
        # A look whose answers are known already may be left out.
        assert calls - result.queries.sum() in ((8,) if case.leaves_wrong_alone else (0, 8))
    else:
        assert calls >= result.queries.sum() + 8
    if not case.whitebox:
        assert (result.gradients == 0).all()


@pytest.mark.parametrize("kind", ["pgd", "noise", "restarts of pgd", "restarts of noise"])
def test_more_restarts_are_never_worse_for_any_example(kind: str) -> None:
    x = images(48, 1, 4, dtype=torch.float64)
    y, ball = predicted(rugged, x), Linf(0.02)
    make = {
        "pgd": lambda k: PGD(ball, steps=2, restarts=k, leave_early=False),
        "noise": lambda k: RandomNoise(ball, draws=k, leave_early=False),
        "restarts of pgd": lambda k: Restarts(PGD(ball, steps=2), k),
        "restarts of noise": lambda k: Restarts(RandomNoise(ball), k),
    }[kind]
    before_success, before_loss = torch.zeros(48, dtype=torch.bool), torch.full((48,), -torch.inf, dtype=torch.float64)
    rose, found = 0, []
    for k in range(1, 7):
        result = make(k)(rugged, x, y, seeds=own_seeds(48))
        logits = rugged(result.images)
        loss = logits.scatter(1, y[:, None], -torch.inf).amax(1) - logits.gather(1, y[:, None])[:, 0]
        assert (result.success >= before_success).all()
        assert (loss >= before_loss - 1e-9).all()
        rose += int((loss > before_loss).sum())
        found.append(int(result.success.sum()))
        before_success, before_loss = result.success, loss
    assert found[0] < found[-1]
    assert rose > 60  # the restarts do differ: 48 rise from nothing


@pytest.mark.parametrize("attack", [RandomNoise(Linf(0.1), 16), PGD(Linf(0.1), steps=1, restarts=16)])
def test_a_success_is_worth_more_than_a_failure_of_greater_loss(attack: RandomNoise | PGD) -> None:
    # Above 0.5 one rival passes the label; below, two rivals nearly do, and the cross-entropy is greater.
    above, below = torch.tensor([1.0, 1.1, -10.0]), torch.tensor([1.0, 0.99, 0.99])

    def model(points: Tensor) -> Tensor:
        return torch.where(points.flatten(1) > 0.5, above, below)

    x, y = torch.full((8, 1, 1, 1), 0.5), torch.zeros(8, dtype=torch.int64)
    assert replace(attack, leave_early=False)(model, x, y, seeds=own_seeds(8)).success.all()


def test_least_likely_succeeds_only_at_its_class() -> None:
    cases = [case for case in CASES if case.success is least_likely_class]
    model, x = classifier(), images(24)
    y = labels_for(model, x)
    for case in cases:
        result = case.make(case.ball(3.0))(model, x, y, seeds=own_seeds(24))
        wrong = predicted(model, result.images) != y
        assert (wrong & ~result.success).any()
