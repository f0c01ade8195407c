"""The small CNN trained through ``fit``: how well it reads digits and MNIST, on images that chose nothing."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from epslab import data, seeds
from epslab.classifiers import Augmentation, ClassifierObjective, CrossEntropy, Normalised, Proportion, accuracy
from epslab.data import ImageSet
from epslab.nets import small_cnn
from epslab.training import Optimisation, fit

HIGHEST_RATE = 3e-3


def one_cycle(optimiser: Optimizer, steps: int) -> OneCycleLR:
    return OneCycleLR(optimiser, HIGHEST_RATE, total_steps=steps, cycle_momentum=False)


def trained(train: ImageSet, validation: ImageSet, out: Path, epochs: int) -> Normalised:
    """A classifier after one cycle of AdamW; shifts by up to two pixels on MNIST, none on digits, no mirrors."""
    with seeds.seeded(0, "weights"):
        model = Normalised(small_cnn(train.image_shape), float(train.images.mean()), float(train.images.std()))
    side = train.image_shape[1]
    fit(
        model,
        ClassifierObjective(model, CrossEntropy(label_smoothing=0.1), Augmentation(flip=False, pad=side // 14)),
        train,
        validation,
        out=out,
        epochs=epochs,
        optimisation=Optimisation(
            partial(torch.optim.AdamW, lr=HIGHEST_RATE, weight_decay=0.01, fused=True), one_cycle
        ),
        monitor="val/loss",
        progress=False,
    )
    return model


def judged(model: Normalised, images: ImageSet) -> Proportion:
    return accuracy(model, images.images, images.labels)


def test_a_classifier_learns_digits_in_three_epochs(tmp_path: Path) -> None:
    train, validation = data.load("digits", "train").split((1293, 144), 0)
    model = trained(train, validation, tmp_path / "run", epochs=3)
    assert judged(model, data.load("digits", "test")) > 0.9


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_digits_are_read_with_98_percent_in_five_fold_cross_validation(tmp_path: Path) -> None:
    parts = [data.load("digits", split) for split in ("train", "test")]
    whole = ImageSet(
        torch.cat([part.pixels for part in parts]), torch.cat([part.labels for part in parts]), parts[0].classes
    )
    right = 0
    folds = whole.split((360, 360, 359, 359, 359), 0)
    for held_out, fold in enumerate(folds):
        others = [other for number, other in enumerate(folds) if number != held_out]
        rest = ImageSet(
            torch.cat([other.pixels for other in others]), torch.cat([other.labels for other in others]), whole.classes
        )
        train, validation = rest.split((len(rest) - 144, 144), 0)
        found = judged(trained(train, validation, tmp_path / str(held_out), epochs=30), fold)
        print(f"digits, fold {held_out}: {found}")
        right += found.successes
    share = Proportion(right, len(whole))
    print(f"digits, five-fold: {share}")
    assert share >= 0.98


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.skipif(
    any(status.state == "missing" for status in data.check("mnist")), reason="MNIST is not in EPSLAB_DATA"
)
def test_mnist_is_read_with_99_percent_after_four_epochs(tmp_path: Path) -> None:
    train, validation = data.load("mnist", "train").split((54_000, 6_000), 0)
    found = judged(trained(train, validation, tmp_path / "run", epochs=4), data.load("mnist", "test"))
    print(f"MNIST: {found}")
    assert found >= 0.99
