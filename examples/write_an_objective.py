"""Write an objective: fill in pixels that were left out. Curves, checkpoints, resume and a page come by themselves.

    python examples/write_an_objective.py

An objective maps (batch, progress) to numbers per example [n]. ``loss`` is minimised; every entry becomes a curve.
"""

import torch
from torch import nn

from epslab import seeds
from epslab.data import load
from epslab.report import write_report
from epslab.runs import Column
from epslab.training import fit


class FillIn:
    """Squared error on the pixels that were hidden, and on those that were not.

    Args:
        net: Images with hidden pixels to whole images.
        hidden: The share of the pixels that is hidden.
    """

    # Names and units of the curves; without them a curve is called by its key.
    columns = {
        "loss": Column("Squared error of hidden pixels", "per pixel", better="lower"),
        "seen": Column("Squared error of the other pixels", "per pixel", better="lower"),
    }

    def __init__(self, net: nn.Module, hidden: float = 0.3) -> None:
        self.net, self.hidden = net, hidden

    def __call__(self, batch, progress):
        # The noise of an example comes from its own seed, so that a resumed run is the same to the bit.
        hidden = seeds.uniform(batch.seeds, 0, tuple(batch.images.shape[1:])).to(batch.images) < self.hidden
        error = (self.net(batch.images.masked_fill(hidden, 0.5)) - batch.images).square()
        return {"loss": mean(error, hidden), "seen": mean(error, ~hidden)}


def mean(error: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """The mean over these pixels, for each image: [n]."""
    return (error * where).flatten(1).sum(1) / where.flatten(1).sum(1).clamp(min=1)


def main() -> None:
    train, validation = load("digits", "train").split([1300, 137], seed=0)
    net = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 1, 3, padding=1), nn.Sigmoid(),
    )  # fmt: skip
    # A second call carries on where the first stopped; of a finished run it only loads the weights.
    run = fit(net, FillIn(net), train, validation, out="runs/examples/fill-in", epochs=8, resume=True)
    print(run.best().text)
    print("Wrote", write_report([run], "runs/examples/fill-in.html"))


if __name__ == "__main__":
    main()
