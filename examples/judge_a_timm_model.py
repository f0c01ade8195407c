"""Judge a timm classifier: normalisation goes inside the model, then images are in [0, 1] and 8/255 means 8/255.

    pip install timm
    python examples/judge_a_timm_model.py

The net is trained here for a moment on scikit-learn's digits, so that nothing is downloaded. With a net of your own,
give ``checkpoint_path=`` or ``pretrained=True`` and your data, and leave ``fit`` out.
"""

import timm

from epslab.attacks import APGD, PGD, RandomNoise
from epslab.classifiers import ClassifierObjective, Normalised
from epslab.data import load
from epslab.evaluation import evaluate_robustness
from epslab.geometry import Linf
from epslab.training import fit


def main() -> None:
    net = timm.create_model("resnet10t", num_classes=10, in_chans=1)
    config = net.pretrained_cfg
    model = Normalised(net, config["mean"][:1], config["std"][:1])

    train, validation = load("digits", "train").split([1300, 137], seed=0)
    fit(model, ClassifierObjective(model), train, validation, out="runs/examples/timm", epochs=3, resume=True)

    test, ball = load("digits", "test").take(100, seed=0), Linf(8 / 255)
    attacks = {"random": RandomNoise(ball), "pgd": PGD(ball, steps=10), "apgd": APGD(ball, steps=10)}
    report = evaluate_robustness(model, test.images, test.labels, attacks, sweep=None)
    print(report)
    report.to_html("runs/examples/timm.html")


if __name__ == "__main__":
    main()
