"""PGD-40 by epslab and by the libraries one would take instead, in turn: time and robust accuracy.

    make bench
    python benchmarks/pgd.py [--data cifar10] [--data-root FOLDER] [--cache runs/benchmark] [--rounds 5] [--threads 1]

All attack the same model object on the same batches of 128 images, with the same radius, step size and number of steps
from a random start in the ball: once an undefended small CNN, once an adversarially trained one, which the first call
trains by epslab's own recipes and keeps in the cache folder. A round is every side once, in an order that rotates from
round to round; ratios are taken within a round, and their medians are printed.

Robust accuracy is measured by one function for all sides, on the images each returned, put into the ball by its float64
measure. ``bare loop`` is PGD as one writes it by hand, on the model as it is. ``epslab, every step`` is epslab with
``leave_early=False``: the same number of gradient evaluations as everybody, so its ratios are those of one evaluation.
``floor`` is nothing but the forward and backward passes of the folded copy that epslab takes its gradients from.

At last one step of PGD-7 adversarial training by ``epslab.defences.AdversarialLoss`` and by hand.

On a machine that is used by others, ``--clock cpu`` counts the processor's time in place of the wall's.
"""

import argparse
import copy
import importlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from epslab import data, recipes, seeds
from epslab.attacks import PGD
from epslab.attacks.folding import folded
from epslab.classifiers import predict
from epslab.defences import AdversarialLoss
from epslab.geometry import Linf
from epslab.nets.modes import evaluating
from epslab.runs import Run
from epslab.training import Machine

NETS = {"undefended": "undefended", "defended": "adversarially trained"}
RADII = {"cifar10": 8 / 255, "mnist": 0.3, "digits": 0.2}
STEPS, BATCH, TRAINING_STEPS = 40, 128, 7

Attacker = Callable[[Tensor, Tensor], Tensor]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Threat:
    radius: float
    steps: int = STEPS

    @property
    def step_size(self) -> float:
        return self.radius / 4


def bare(model: nn.Module, threat: Threat) -> Attacker:
    def attack(images: Tensor, labels: Tensor) -> Tensor:
        low, high = (images - threat.radius).clamp(0, 1), (images + threat.radius).clamp(0, 1)
        x = images + torch.empty_like(images).uniform_(-threat.radius, threat.radius)
        x = x.clamp(0, 1)
        for _ in range(threat.steps):
            x.requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), labels, reduction="sum"), x)
            x = torch.clamp(x.detach() + threat.step_size * gradient.sign(), low, high)
        return x

    return attack


def epslab(model: nn.Module, threat: Threat, leave_early: bool = True) -> Attacker:
    attack = PGD(Linf(threat.radius), steps=threat.steps, step_size=threat.step_size, leave_early=leave_early)
    generator = seeds.generator(0, "benchmark")
    return lambda images, labels: attack(model, images, labels, generator=generator).images


def floor(model: nn.Module, threat: Threat) -> Attacker:
    with torch.no_grad():
        plain = copy.deepcopy(model).requires_grad_(False)

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            fast = folded(plain, images[:8], plain(images[:8]))
        x = images.contiguous(memory_format=torch.channels_last)
        for _ in range(threat.steps):
            x = x.detach().requires_grad_()
            torch.autograd.grad(F.cross_entropy(fast(x), labels, reduction="sum"), x)
        return images

    return attack


def torchattacks(model: nn.Module, threat: Threat) -> Attacker:
    library = importlib.import_module("torchattacks")
    attack = library.PGD(model, eps=threat.radius, alpha=threat.step_size, steps=threat.steps, random_start=True)
    return lambda images, labels: attack(images, labels)


def foolbox(model: nn.Module, threat: Threat) -> Attacker:
    library = importlib.import_module("foolbox")
    wrapped = library.PyTorchModel(model, bounds=(0, 1), device=torch.device("cpu"))
    attack = library.attacks.LinfPGD(abs_stepsize=threat.step_size, steps=threat.steps, random_start=True)
    return lambda images, labels: attack(wrapped, images, labels, epsilons=threat.radius)[1]


def art(model: nn.Module, threat: Threat) -> Attacker:
    estimators = importlib.import_module("art.estimators.classification")
    evasion = importlib.import_module("art.attacks.evasion")

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        classifier = estimators.PyTorchClassifier(
            model, nn.CrossEntropyLoss(), tuple(images.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
        )
        made = evasion.ProjectedGradientDescentPyTorch(
            classifier,
            eps=threat.radius,
            eps_step=threat.step_size,
            max_iter=threat.steps,
            num_random_init=1,
            batch_size=len(images),
            verbose=False,
        )
        return torch.from_numpy(made.generate(images.numpy(), labels.numpy()))

    return attack


def cleverhans(model: nn.Module, threat: Threat) -> Attacker:
    name = "projected_gradient_descent"
    pgd = getattr(importlib.import_module(f"cleverhans.torch.attacks.{name}"), name)

    def attack(images: Tensor, labels: Tensor) -> Tensor:
        adversarial: Tensor = pgd(
            model, images, threat.radius, threat.step_size, threat.steps, float("inf"), 0.0, 1.0, y=labels
        )
        return adversarial.detach()

    return attack


OURS, EVERY_STEP, FLOOR = "epslab", "epslab, every step", "floor"
SIDES: dict[str, Callable[[nn.Module, Threat], Attacker]] = {
    OURS: epslab,
    EVERY_STEP: partial(epslab, leave_early=False),
    FLOOR: floor,
    "bare loop": bare,
    "torchattacks": torchattacks,
    "foolbox": foolbox,
    "art": art,
    "cleverhans": cleverhans,
}


def trained(kind: str, arguments: argparse.Namespace) -> nn.Module:
    """The classifier of this kind, trained at the first call."""
    adversarial = kind == "adversarially trained"
    folder = Path(arguments.cache) / f"{arguments.data}-{kind.replace(' ', '-')}"
    recipe = recipes.SmallCNNRecipe(
        epochs=arguments.epochs, width=arguments.width, optimiser="adam", augment="none", validation_fraction=0.02
    )
    if adversarial:
        recipe = replace(
            recipe,
            epochs=arguments.adversarial_epochs,
            defence="adversarial-loss",
            radius=arguments.radius or RADII[arguments.data],
            attack_steps=arguments.training_steps,
            clean_weight=0.0,
        )
    if not (folder / "model.safetensors").exists():
        print(f"training the {kind} net on {arguments.data}: {recipe.epochs} epochs into {folder}", flush=True)
        recipes.train(
            recipe,
            data=arguments.data,
            data_root=arguments.data_root,
            out=folder,
            overwrite=True,
            machine=Machine("cpu"),
            progress=False,
        )
    return recipes.load(Run(folder)).eval()


def robust(model: nn.Module, threat: Threat, images: Tensor, labels: Tensor, adversarial: Tensor) -> Tensor:
    """Which images the model still gets right, [n]."""
    inside = Linf(threat.radius).project(adversarial.to(images.dtype), images).clamp(0, 1)
    return predict(model, inside) == labels


def in_turn(
    sides: dict[str, Callable[[], Any]], rounds: int, clock: Clock
) -> tuple[list[dict[str, float]], dict[str, Any]]:
    """Seconds of each side in each round, and what each made last; the first round warms up and is left out."""
    names, results, made = list(sides), [], {}
    for number in range(rounds + 1):
        seconds = {}
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = clock()
            made[name] = sides[name]()
            seconds[name] = clock() - start
        if number:
            results.append(seconds)
    return results, made


def ratio(rounds: list[dict[str, float]], one: str, other: str) -> float:
    """The median over the rounds of one side's time over the other's."""
    return statistics.median(seconds[one] / seconds[other] for seconds in rounds)


def compare(model: nn.Module, threat: Threat, batches: list[tuple[Tensor, Tensor]], rounds: int, clock: Clock) -> None:
    """Every side on this model."""
    sides, missing = {}, []
    for name, make in SIDES.items():
        try:
            attacker = make(model, threat)
        except ImportError:
            missing.append(name)
            continue
        sides[name] = partial(lambda attack: [attack(x, y) for x, y in batches], attacker)
    results, made = in_turn(sides, rounds, clock)

    n = sum(len(y) for _, y in batches)
    clean = sum(int((predict(model, x) == y).sum()) for x, y in batches) / n
    print(f"clean accuracy {clean:.1%}, {n} images")
    print(f"{'':>20}  seconds   time/epslab   time/epslab, every step   robust accuracy")
    for name in sides:
        right = sum(int(robust(model, threat, x, y, a).sum()) for (x, y), a in zip(batches, made[name], strict=True))
        accuracy = "" if name == FLOOR else f"{right / n:.1%} ({right})"
        print(
            f"{name:>20} {statistics.median(s[name] for s in results):8.2f} {ratio(results, name, OURS):13.2f}"
            f" {ratio(results, name, EVERY_STEP):25.2f} {accuracy:>17}"
        )
    if missing:
        print(f"not installed, not compared (make bench has them): {', '.join(missing)}")

    attack = PGD(Linf(threat.radius), steps=threat.steps, step_size=threat.step_size)
    found = [attack(model, x, y, generator=seeds.generator(0, "benchmark")) for x, y in batches]
    gradients = sum(int(a.gradients.sum()) for a in found) / n
    left = 1 - sum(int(a.success.sum()) for a in found) / n
    print(f"epslab took {gradients:.1f} of {threat.steps} gradients an image and left {left:.1%} of the images robust.")
    if left:
        print(f"These need every step: leaving early alone gains at most {1 / left:.2f}x", end="")
        if "torchattacks" in sides:
            over = ratio(results, "torchattacks", EVERY_STEP) / left
            print(f", with the cheaper gradient {over:.2f}x over torchattacks", end="")
        print(".")


def training_steps(model: nn.Module, radius: float, images: Tensor, labels: Tensor, rounds: int, clock: Clock) -> None:
    """A step of PGD-7 training, epslab's and one written by hand; both train a copy of their own."""
    threat = Threat(radius, TRAINING_STEPS)
    attack = PGD(Linf(radius), steps=threat.steps, step_size=threat.step_size)
    nets = {name: copy.deepcopy(model).train() for name in ("epslab", "by hand")}
    optimisers = {name: torch.optim.SGD(net.parameters(), lr=1e-3) for name, net in nets.items()}
    losses = {"epslab": AdversarialLoss(attack, clean_weight=0.0)}

    def by_hand(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with evaluating(net):
            adversarial = bare(net, threat)(x, y)
        return F.cross_entropy(net(adversarial), y, reduction="none")

    def step(name: str) -> None:
        optimisers[name].zero_grad()
        losses.get(name, by_hand)(nets[name], images, labels).mean().backward()
        optimisers[name].step()

    results, _ = in_turn({name: partial(step, name) for name in nets}, rounds, clock)
    seconds = {name: statistics.median(s[name] for s in results) for name in nets}
    print(
        f"a step of PGD-{TRAINING_STEPS} training: epslab {seconds['epslab']:.3f} s,"
        f" by hand {seconds['by hand']:.3f} s, ratio {ratio(results, 'epslab', 'by hand'):.2f}"
    )


def load(per_second: Sequence[float]) -> str:
    return " ".join(f"{value:.2f}" for value in per_second)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="cifar10", choices=list(RADII))
    parser.add_argument("--data-root", default=None, help="folder that holds the data set")
    parser.add_argument("--cache", default="runs/benchmark", help="folder that keeps the two trained nets")
    parser.add_argument("--nets", nargs="+", default=list(NETS), choices=list(NETS))
    parser.add_argument("--batches", type=int, default=1, help=f"batches of {BATCH} test images")
    parser.add_argument("--images", type=int, default=BATCH, help="images a batch")
    parser.add_argument("--radius", type=lambda text: float(Fraction(text)), default=None, help="e.g. 8/255")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", default="wall", choices=["wall", "cpu"])
    parser.add_argument("--width", type=int, default=32, help="of the small CNN")
    parser.add_argument("--epochs", type=int, default=3, help="of the undefended net")
    parser.add_argument("--adversarial-epochs", type=int, default=5, help="of the adversarially trained net")
    parser.add_argument("--training-steps", type=int, default=3, help="of the attack trained against")
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter

    threat = Threat(arguments.radius or RADII[arguments.data], arguments.steps)
    n = arguments.batches * arguments.images
    test = data.load(arguments.data, "test", arguments.data_root).take(n, 0)
    batches = list(zip(test.images.split(arguments.images), test.labels.split(arguments.images), strict=True))
    print(
        f"PGD-{threat.steps}, Linf {threat.radius:.4f}, {arguments.data}, {arguments.threads} thread(s),"
        f" torch {torch.__version__}, {arguments.clock} clock, {arguments.rounds} rounds"
    )
    for kind in arguments.nets:
        model = trained(NETS[kind], arguments)
        print(f"\n{NETS[kind]} small CNN, load {load(os.getloadavg())}")
        compare(model, threat, batches, arguments.rounds, clock)
    print()
    training_steps(model, threat.radius, *batches[0], max(arguments.rounds, 5), clock)
    print(f"load {load(os.getloadavg())}")


if __name__ == "__main__":
    main()
