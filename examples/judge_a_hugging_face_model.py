"""Judge a Hugging Face classifier: what it returns holds its logits, and epslab finds them there.

    pip install transformers
    python examples/judge_a_hugging_face_model.py

The net is trained here for a moment on scikit-learn's digits, so that nothing is downloaded. With a net of your own,
use ``AutoModelForImageClassification.from_pretrained(…)``, the mean and std of its image processor, and your data.
"""

from transformers import ResNetConfig, ResNetForImageClassification

from epslab.attacks import APGD, PGD, RandomNoise
from epslab.classifiers import ClassifierObjective, Normalised
from epslab.data import load
from epslab.evaluation import evaluate_robustness
from epslab.geometry import Linf
from epslab.training import fit


def main() -> None:
    config = ResNetConfig(
        num_channels=1, num_labels=10, embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic"
    )
    model = Normalised(ResNetForImageClassification(config), mean=0.5, std=0.5)

    train, validation = load("digits", "train").split([1300, 137], seed=0)
    fit(model, ClassifierObjective(model), train, validation, out="runs/examples/hugging-face", epochs=3, resume=True)

    test, ball = load("digits", "test").take(100, seed=0), Linf(8 / 255)
    attacks = {"random": RandomNoise(ball), "pgd": PGD(ball, steps=10), "apgd": APGD(ball, steps=10)}
    report = evaluate_robustness(model, test.images, test.labels, attacks, sweep=None)
    print(report)
    report.to_html("runs/examples/hugging-face.html")


if __name__ == "__main__":
    main()
