"""L1 attacks by epslab, by hand and by AutoAttack's own code, at equal steps: what accuracy each leaves.

    epslab train small-cnn --data mnist --width 8 --epochs 3 --defence adversarial-loss --clean-weight 0 \
        --norm l2 --radius 2 --out runs/l2-trained
    python benchmarks/l1.py runs/l2-trained [--data-root FOLDER] [--images 250] [--radius 10] [--steps 100]

All attack the same images of the test set with the same number of gradient steps. Accuracy is measured by one
function on the images each side returned, put into ball and box. ``by hand`` is PGD with sparse steps: the 1 % of the
pixels with the largest gradients share a step, which falls over the run from the radius to 0, projected into the ball,
then clamped.
"""

import argparse
import importlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from epslab import data, recipes, seeds
from epslab.attacks import APGD, PGD, Attack
from epslab.classifiers import predict
from epslab.geometry import L1
from epslab.runs import Run

Attacker = Callable[[Tensor, Tensor], Tensor]


def epslab(model: nn.Module, attack: Attack) -> Attacker:
    return lambda x, y: attack(model, x, y, generator=seeds.generator(0, "benchmark")).images


def by_hand(model: nn.Module, radius: float, steps: int) -> Attacker:
    def attack(images: Tensor, labels: Tensor) -> Tensor:
        ball = L1(radius)
        x = ball.sample(images, seeds.generator(0, "benchmark")).clamp(0, 1)
        fooled, found = torch.zeros_like(labels, dtype=torch.bool), images.clone()
        for step in range(steps + 1):
            x.requires_grad_()
            logits = model(x)
            (gradient,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), x)
            x = x.detach()
            fooled |= (now := logits.argmax(1) != labels)
            found[now] = x[now]
            size = gradient.abs().flatten(1)
            least = size.topk(max(1, size.shape[1] // 100), dim=1).values[:, -1:]
            direction = gradient.sign() * (size >= least).view_as(gradient)
            direction = direction / direction.abs().sum((1, 2, 3), keepdim=True).clamp_min(1)
            x = ball.project(x + radius * (1 - step / steps) * direction, images).clamp(0, 1)
        return torch.where(fooled[:, None, None, None], found, x)

    return attack


def official(model: nn.Module, radius: float, steps: int, name: str, **how: object) -> Attacker:
    library = importlib.import_module("pyautoattack.autopgd_base")
    attack = getattr(library, name)(
        model, n_iter=steps, norm="L1", eps=radius, device="cpu", use_largereps=True, seed=0, **how
    )
    return lambda x, y: attack.perturb(x, y)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of a classifier")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-root", default=None, help="folder that holds the data set")
    parser.add_argument("--images", type=int, default=250)
    parser.add_argument("--radius", type=float, default=10.0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--targets", type=int, default=9, help="target classes of the targeted runs")
    arguments = parser.parse_args(argv)
    radius, steps, targets = arguments.radius, arguments.steps, arguments.targets

    model = recipes.load(Run(arguments.run)).eval().requires_grad_(False)
    test = data.load(arguments.data, "test", arguments.data_root).take(arguments.images, 0)
    x, y = test.images, test.labels
    sides: dict[str, Callable[[], Attacker]] = {
        "PGD, epslab": partial(epslab, model, PGD(L1(radius), steps=steps)),
        "PGD, by hand": partial(by_hand, model, radius, steps),
        "APGD on the cross-entropy, epslab": partial(epslab, model, APGD(L1(radius), steps=steps, targets=0)),
        "APGD on the cross-entropy, official": partial(official, model, radius, steps, "APGDAttack", loss="ce"),
        "APGD with targets, epslab": partial(epslab, model, APGD(L1(radius), steps=steps, targets=targets)),
        "APGD targets alone, official": partial(
            official, model, radius, steps, "APGDAttack_targeted", n_target_classes=targets
        ),
    }
    print(
        f"L1 {radius:g}, {steps} steps, {len(y)} images; clean accuracy {(predict(model, x) == y).float().mean():.1%}"
    )
    for name, make in sides.items():
        try:
            attack = make()
        except ImportError:
            print(f"{name:>36}  not installed (make bench has it)")
            continue
        start = time.perf_counter()
        inside = L1(radius).projector(x, (0.0, 1.0))(attack(x, y).to(x))
        seconds = time.perf_counter() - start
        print(f"{name:>36}  {(predict(model, inside) == y).float().mean():6.1%}  {seconds:6.0f} s", flush=True)


if __name__ == "__main__":
    main()
