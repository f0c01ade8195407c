"""Train a classifier with and without a defence, attack both alike, and compare them on one page.

    python examples/train_and_compare.py

The same on the command line:

    epslab train small-cnn --epochs 6 --out runs/plain
    epslab train small-cnn --epochs 6 --defence adversarial-batch --radius 0.1 --out runs/defended
    epslab attack runs/plain --radius 0.1 && epslab attack runs/defended --radius 0.1
    epslab report runs/plain runs/defended
"""

from epslab import recipes
from epslab.attacks import FGSM, PGD
from epslab.data import load
from epslab.evaluation import evaluate_robustness
from epslab.geometry import Linf
from epslab.report import write_report

RADIUS = 0.1
WAYS = {
    "plain": recipes.SmallCNNRecipe(epochs=4, width=8),
    "defended": recipes.SmallCNNRecipe(
        epochs=4, width=8, defence="adversarial-batch", attack="pgd", attack_steps=3, radius=str(RADIUS)
    ),
}


def main() -> None:
    test, ball = load("digits", "test").take(100, seed=0), Linf(RADIUS)
    attacks = {"fgsm": FGSM(ball), "pgd": PGD(ball, steps=10)}
    runs, reports = [], []
    for name, recipe in WAYS.items():
        run = recipes.train(recipe, data="digits", out=f"runs/examples/{name}", resume=True)
        recipes.evaluate(run)
        model = recipes.load(run)
        reports.append(evaluate_robustness(model, test.images, test.labels, attacks, sweep=None))
        runs.append(run)
        print(f"{name}: {reports[-1].worst_case} right under attack, {reports[-1].clean_accuracy} without")
    print("Wrote", write_report([*runs, *reports], "runs/examples/compared.html"))


if __name__ == "__main__":
    main()
