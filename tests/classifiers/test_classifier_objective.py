"""What a classifier minimises: cross-entropy of logits, smoothed or not, or a defence; and what it reports."""

import math
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from epslab.classifiers import Augmentation, ClassifierObjective, CrossEntropy
from epslab.errors import UserError
from epslab.seeds import draw, generator, seeded
from epslab.types import Batch, Classifier, Images, Labels, PerExample, Progress, Seeds

TRAINING, VALIDATION = Progress(0, 0, 10, 2, True), Progress(0, 0, 10, 2, False)


class Net(nn.Module):
    """A net with BatchNorm that keeps what it was called on and how."""

    def __init__(self) -> None:
        super().__init__()
        with seeded(0, "net"):
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5))
        self.calls: list[tuple[Tensor, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append((x.detach(), self.training))
        result: Tensor = self.body(x)
        return result


def batch(n: int = 12) -> Batch:
    g = generator(0, "batch")
    return Batch(torch.rand(n, 3, 5, 5, generator=g), torch.randint(5, (n,), generator=g), draw(n, g))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_is_torchs_and_the_definition(smoothing: float) -> None:
    net, b = Net().eval(), batch()
    loss = CrossEntropy(smoothing)(net, b.images, b.labels)
    logits = net(b.images)
    assert loss.shape == (12,)
    torch.testing.assert_close(loss, F.cross_entropy(logits, b.labels, reduction="none", label_smoothing=smoothing))
    q = (1 - smoothing) * F.one_hot(b.labels, 5) + smoothing / 5
    log_p = logits - logits.exp().sum(1, keepdim=True).log()
    torch.testing.assert_close(loss, -(q * log_p).sum(1))


def test_logits_are_logits() -> None:
    """The likelihood loss of raw logits would give −z_y: negative, and moved by a shift of all of them."""
    z, labels = torch.tensor([[2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 0])
    images = torch.zeros(2, 1, 1, 1)
    loss = CrossEntropy()(lambda x: z, images, labels)
    assert loss.tolist() == pytest.approx([math.log1p(math.exp(-2)), math.log1p(math.exp(3))])
    torch.testing.assert_close(CrossEntropy()(lambda x: z + 100, images, labels), loss, rtol=1e-5, atol=1e-5)
    zeros = CrossEntropy(0.3)(lambda x: torch.zeros(2, 10), images, labels)
    torch.testing.assert_close(zeros, torch.full((2,), math.log(10)))  # nats


@pytest.mark.parametrize("smoothing", [-0.1, 1.1, float("nan")])
def test_a_smoothing_outside_the_unit_interval_is_refused(smoothing: float) -> None:
    with pytest.raises(UserError, match="label_smoothing="):
        CrossEntropy(smoothing)


@pytest.mark.parametrize("progress", [TRAINING, VALIDATION])
def test_loss_and_error_of_each_example_come_from_one_pass(progress: Progress) -> None:
    net, b = Net().train(progress.training), batch()
    values = ClassifierObjective(net)(b, progress)
    assert len(net.calls) == 1
    logits = Net().train(progress.training)(b.images)
    torch.testing.assert_close(values["loss"], F.cross_entropy(logits, b.labels, reduction="none"))
    assert torch.equal(values["error"], (logits.argmax(1) != b.labels).float())
    assert values["loss"].requires_grad
    assert not values["error"].requires_grad
    assert set(values) == {"loss", "error"}


def test_training_images_are_augmented_by_their_seeds_and_validation_images_are_not() -> None:
    net, b = Net(), batch()
    objective = ClassifierObjective(net, augment=Augmentation(pad=2))
    objective(b, TRAINING)
    objective(b, VALIDATION)
    seen, unchanged = (images for images, _ in net.calls)
    assert torch.equal(unchanged, b.images)
    assert not torch.equal(seen, b.images)
    net.calls.clear()
    half = Batch(b.images[:6], b.labels[:6], b.seeds[:6])
    objective(half, TRAINING)
    assert torch.equal(net.calls[0][0], seen[:6])


@dataclass
class Attacked:
    """A loss as a defence's: at images it moved, with noise from the seeds, and never at the clean ones."""

    seeds: Seeds | None = None

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: Generator | None = None,
        *,
        seeds: Seeds | None = None,
    ) -> PerExample:
        self.seeds = seeds
        return F.cross_entropy(model(torch.cat([images, 1 - images])), labels.repeat(2), reduction="none").view(2, -1)[
            1
        ]


@pytest.mark.parametrize("training", [True, False])
def test_a_defence_goes_in_and_the_error_is_of_the_clean_images(training: bool) -> None:
    net, b, loss = Net().train(training), batch(), Attacked()
    values = ClassifierObjective(net, loss)(b, TRAINING)
    assert len(net.calls) == 2
    assert torch.equal(net.calls[1][0], b.images)
    assert not net.calls[1][1]  # in eval mode, so no statistics are counted twice
    assert net.training == training
    assert net.body[1].num_batches_tracked == (1 if training else 0)
    assert torch.equal(values["error"], (net.eval()(b.images).argmax(1) != b.labels).float())
    assert torch.equal(values["loss"], Attacked()(net.train(training), b.images, b.labels)) or training


def test_a_losss_noise_is_the_examples_own_and_not_the_augmentations() -> None:
    b, losses, given = batch(), [Attacked(), Attacked()], []

    def augment(images: Images, seeds: Seeds) -> Images:
        given.append(seeds)
        return images

    ClassifierObjective(Net(), losses[0], augment)(b, TRAINING)
    ClassifierObjective(Net(), losses[1])(Batch(b.images[:4], b.labels[:4], b.seeds[:4]), VALIDATION)
    assert torch.equal(losses[0].seeds[:4], losses[1].seeds)  # type: ignore[index]
    assert not torch.isin(given[0], losses[0].seeds).any()  # type: ignore[arg-type]
    assert not torch.isin(b.seeds, losses[0].seeds).any()  # type: ignore[arg-type]


def test_logits_that_a_loss_returns_are_the_errors() -> None:
    """A loss may return other logits than the net's, and the error follows them."""

    class Wrong(CrossEntropy):
        def with_logits(self, model, images, labels, generator=None, *, seeds=None):  # type: ignore[no-untyped-def]
            return torch.zeros(len(images)), F.one_hot((labels + 1) % 5, 5).float()

    net = Net()
    values = ClassifierObjective(net, Wrong())(batch(), TRAINING)
    assert (values["error"] == 1).all()
    assert not net.calls
