"""The flags of the studies of classifiers, and the names of studies with hyphens."""

from pathlib import Path

import pytest

from epslab import studies
from epslab.report import StudyResult


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list:
    """The studies that are asked for, which here have nothing to say."""
    calls: list = []

    def run_study(name, context):
        calls.append((name, context))
        return StudyResult(name, "Is it?", "It is.")

    monkeypatch.setattr(studies, "run_study", run_study, raising=False)
    return calls


def test_a_study_of_classifiers_gets_its_net_radius_and_weights(epslab, asked):
    words = ("--data", "cifar10", "--scale", "full", "--net", "small-cnn", "--radius", "4/255", "--weights", "net.pth")
    outcome = epslab("study", "fgsm-or-pgd", *words)
    assert outcome.code == 0
    ((name, context),) = asked
    assert (name, context.classifier_net) == ("fgsm-or-pgd", "small-cnn")
    assert (context.net, context.radius, context.weights) == ("small-cnn", "4/255", "net.pth")
    assert context.ball.radius == 4 / 255
    assert "epslab report runs/studies/cifar10-full/fgsm-or-pgd" in outcome.out


def test_without_flags_the_scale_and_the_data_set_choose(epslab, asked):
    epslab("study", "defence")
    epslab("study", "defence", "--data", "cifar10", "--scale", "full")
    (_, quick), (_, full) = asked
    assert (quick.classifier_net, quick.radius_text, quick.weights) == ("small-cnn", "0.15", None)
    assert (full.classifier_net, full.radius_text) == ("resnet18", "2/255")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("fgsm", "--net", "resnet"), "Did you mean 'resnet18'?"),
        (("fgsm", "--radius", "8/0"), "--radius is '8/0', but must be a number such as 0.3 or a fraction"),
        (("fgsm", "--radius", "0"), "--radius is 0, but must be more"),
        (("fgsm-or-pdg",), "Did you mean 'fgsm-or-pgd'?"),
    ],
)
def test_what_no_study_can_use_is_refused(refused, words, sentence):
    assert sentence in refused("study", *words)
    assert not Path("runs").exists()


def test_the_help_says_which_radius_each_data_set_has(epslab):
    from epslab.studies.classifiers import OTHER_RADIUS, RADII

    text = " ".join(epslab("study", "--help").out.split())
    assert all(f"{radius} for {name}" in text for name, radius in RADII.items() if radius != OTHER_RADIUS)
    assert f"{OTHER_RADIUS} (the course's) for cifar10" in text
