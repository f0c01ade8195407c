"""Write an attack: random corners of the ball, the worst of many kept. Then ask whether to believe it.

    python examples/write_an_attack.py

An attack is a frozen dataclass with ``norm``, ``radius``, ``part``, ``thorough`` and ``__call__``
(``epslab.attacks.Attack``). It works on the command line too, from the folder that holds this file:

    epslab attack RUN --attacks pgd,write_an_attack:RandomCorners --radius 0.1
"""

from dataclasses import dataclass, replace

import torch

from epslab import recipes
from epslab.attacks import PGD, Attacked, RandomNoise
from epslab.attacks.objectives import margin
from epslab.data import load
from epslab.evaluation import evaluate_robustness
from epslab.geometry import Ball, Linf
from epslab.seeds import draw, noise


@dataclass(frozen=True)
class RandomCorners:
    """Draw corners of ball ∩ [0, 1] and keep, for each image, the one with the greatest margin max_{j≠y} z_j − z_y.

    Args:
        ball: Where it searches.
        tries: Corners drawn for each image.
    """

    ball: Ball
    tries: int = 20

    @property
    def norm(self):
        return self.ball.norm

    @property
    def radius(self):
        return self.ball.radius

    def part(self, index):
        """The same attack for some of the images: a ball may have a radius for each."""
        return replace(self, ball=self.ball[index])

    def thorough(self):
        """It never stops early, so there is nothing to change."""
        return self

    @torch.no_grad()
    def __call__(self, model, images, labels, *, generator=None, seeds=None):
        seeds = draw(len(images), generator, images.device) if seeds is None else seeds
        best, worst = images.clone(), margin(model(images), labels)
        for i in range(self.tries):
            # An example's noise is a function of its own seed and a counter: it does not depend on the batch.
            direction = noise(seeds, i, tuple(images.shape[1:])).to(images)
            corners = self.ball.farthest(direction, images)
            found = margin(model(corners), labels)
            better = found > worst
            best[better], worst[better] = corners[better], found[better]
        asked = torch.full_like(labels, self.tries + 1)
        return Attacked(best, worst > 0, self.ball.distance(best, images), asked, torch.zeros_like(asked))


def main() -> None:
    recipe = recipes.SmallCNNRecipe(epochs=4, width=8)
    run = recipes.train(recipe, data="digits", out="runs/examples/digits", resume=True)
    model, ball = recipes.load(run), Linf(0.1)
    test = load("digits", "test").take(100, seed=0)
    attacks = {
        "random noise": RandomNoise(ball),
        "random corners": RandomCorners(ball, tries=50),
        "pgd": PGD(ball, steps=10),
    }
    # Nothing is believed of an attack: success is the model's own answer to the image it returned.
    report = evaluate_robustness(model, test.images, test.labels, attacks, sweep=None)
    print(report)
    report.to_html("runs/examples/write-an-attack.html")


if __name__ == "__main__":
    main()
