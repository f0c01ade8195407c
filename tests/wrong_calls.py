"""What users get wrong in Python, each with a part of the sentence they should read.

Run as a program: without the tests' checks of types, as users call epslab. It prints what each call raised as JSON.
"""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from epslab.attacks import APGD, FGSM, PGD, Attacked, RandomNoise, Restarts, Transfer, WorstCase, margin, targeted
from epslab.classifiers import Normalised, accuracy, predict
from epslab.data import load
from epslab.defences import AdversarialBatch, AdversarialLoss
from epslab.evaluation import RadiusSweep, evaluate_robustness
from epslab.geometry import L2, Linf
from epslab.recipes import RECIPES
from epslab.runs import Run

net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5)).requires_grad_(False)
x, y = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(4)
ball = Linf(8 / 255)


class Foreign:
    """An attack of the user's own, without what an evaluation needs."""

    norm, radius = "linf", 1.0

    def part(self, index: Any) -> Any:
        return self

    def thorough(self) -> Any:
        return self


class NoSeeds(Foreign):
    def __call__(self, model: Any, images: Any, labels: Any) -> Any:
        return images


class ReturnsTensor(Foreign):
    def __call__(self, model: Any, images: Any, labels: Any, *, generator: Any = None, seeds: Any = None) -> Any:
        return images


class ReturnsScalars(Foreign):
    def __call__(self, model: Any, images: Any, labels: Any, **more: Any) -> Any:
        return Attacked(images, torch.tensor(True), torch.zeros(4), torch.zeros(4), torch.zeros(4))


def evaluate(model: Any = net, images: Any = x, labels: Any = y, attacks: Any = None, **more: Any) -> Any:
    attacks = {"fgsm": FGSM(ball)} if attacks is None else attacks
    return evaluate_robustness(model, images, labels, attacks, findings=False, **{"sweep": None, **more})


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "a radius for a ball": (lambda: PGD(0.3), "PGD takes a ball, not 0.3: PGD(Linf(0.3))."),
    "a small radius for a ball": (lambda: FGSM(8 / 255), "FGSM(Linf(0.0313725))."),
    "text for a ball": (lambda: APGD("8/255"), "APGD takes a ball, not '8/255': APGD(Linf(8 / 255))."),
    "no ball": (lambda: RandomNoise(None), "RandomNoise takes a ball, not None"),
    "a radius as text": (
        lambda: Linf("8/255"),
        "The radius is '8/255', but must be a number, or a tensor",
    ),
    "how to mend it": (lambda: Linf("8/255"), "with one per example: 8 / 255 without quotes."),
    "a list of radii": (lambda: L2([0.1, 0.2]), "The radius is [0.1, 0.2], but must be a number, or a tensor"),
    "no radius": (lambda: Linf(None), "The radius is None"),
    "steps as text": (lambda: PGD(ball, steps="10"), "steps is '10', but must be a whole number of at least 1."),
    "half a step": (lambda: PGD(ball, steps=2.5), "steps is 2.5, but must be a whole number"),
    "a step size as text": (lambda: PGD(ball, step_size="0.1"), "step_size is '0.1', but must be a positive number"),
    "momentum": (lambda: PGD(ball, momentum=None), "momentum is None, but must be a number of at least 0"),
    "an objective's name": (lambda: PGD(ball, objective="margin"), "objective is 'margin', but must be a function"),
    "a goal's name": (
        lambda: PGD(ball, goal="targeted"),
        "goal is 'targeted', but must be a function, e.g.",
    ),
    "targets": (lambda: APGD(ball, targets=-1), "targets is -1, but must be at least 0."),
    "draws": (lambda: RandomNoise(ball, draws="5"), "draws is '5'"),
    "restarts of a ball": (lambda: Restarts(ball), "What Restarts repeats is Ball"),
    "one attack as several": (lambda: WorstCase(PGD(ball)), "several attacks, not one PGD: WorstCase((FGSM"),
    "no attack among several": (lambda: WorstCase([PGD(ball), 0.3]), "Attack 2 of WorstCase is 0.3"),
    "a transfer without a model": (lambda: Transfer("resnet18", PGD(ball)), "The model is the text 'resnet18'"),
    "a defence against a ball": (lambda: AdversarialLoss(ball), "What AdversarialLoss trains against is Ball"),
    "a batch against a class": (lambda: AdversarialBatch(PGD), "What AdversarialBatch trains against is the class PGD"),
    "a weight as text": (
        lambda: AdversarialLoss(FGSM(ball), "0.5"),
        "clean_weight is '0.5', but must be a number between",
    ),
    "attacks as a list": (
        lambda: evaluate(attacks=[PGD(ball)]),
        "are of type list; give each of them a name: {'pgd'",
    ),
    "one attack": (lambda: evaluate(attacks=PGD(ball)), "are of type PGD; give each of them a name"),
    "an attack's class": (lambda: evaluate(attacks={"pgd": PGD}), "The attack 'pgd' is the class PGD"),
    "a number for a name": (lambda: evaluate(attacks={1: PGD(ball)}), "1 cannot name an attack"),
    "an attack without seeds": (
        lambda: evaluate(attacks={"own": NoSeeds()}),
        "The attack 'own' takes no seeds: let",
    ),
    "an attack that returns a tensor": (
        lambda: evaluate(attacks={"own": ReturnsTensor()}),
        "The attack 'own' returned a Tensor, but must return epslab.attacks.Attacked(images, success, distance,",
    ),
    "an attack with one answer for all": (
        lambda: evaluate(attacks={"own": ReturnsScalars()}),
        "The attack 'own' returned success that are not one per image",
    ),
    "a worst case of tensors": (
        lambda: WorstCase([ReturnsTensor()])(net, x, y),
        "The attack ReturnsTensor returned a Tensor",
    ),
    "batch size as text": (lambda: evaluate(batch_size="64"), "batch_size is '64', but must be a whole number"),
    "seed as text": (lambda: evaluate(seed="0"), "seed is '0', but must be a whole number."),
    "a number for a sweep": (lambda: evaluate(sweep=0.1), "sweep is 0.1, but must be RadiusSweep(radii=(…))"),
    "one radius to sweep": (lambda: RadiusSweep(0.1), "The sweep's radii are 0.1; give numbers in ascending order"),
    "radii as text": (lambda: RadiusSweep(["8/255"]), "The sweep's radii are ['8/255']; give numbers"),
    "a seed for a generator": (
        lambda: PGD(ball)(net, x, y, generator=0),
        "generator is 0, but must be a generator, e.g.",
    ),
    "names as targets": (lambda: PGD(ball, goal=targeted("cat")), "Labels are a str, but must be class indices"),
    "an objective that gives a mean": (
        lambda: PGD(ball, objective=nn.functional.cross_entropy)(net, x, y),
        "The objective gives a tensor [] for 4 examples, but must give one number each, [n]",
    ),
    "apgd with a mean": (
        lambda: APGD(ball, objective=nn.CrossEntropyLoss(), leave_early=False)(net, x, y),
        "The objective gives a tensor [] for 4 examples",
    ),
    "a defence with a mean": (
        lambda: AdversarialLoss(FGSM(ball, objective=nn.CrossEntropyLoss()))(net, x, y),
        "torch's needs reduction='none'.",
    ),
    "an objective that gives numbers": (
        lambda: FGSM(ball, objective=lambda z, y: 1.0)(net, x, y),
        "The objective gives float for 4 examples",
    ),
    "a goal's class": (lambda: PGD(ball, goal=targeted), "goal is the class targeted; give an object of it"),
    "a list of seeds": (lambda: PGD(ball)(net, x, y, seeds=[0, 1, 2, 3]), "Seeds are of type list, but must be"),
    "an accelerator nobody has": (lambda: evaluate(accelerator="tpu"), "Unknown accelerator 'tpu'."),
    "no devices": (lambda: evaluate(devices=0), "must be at least 1, not 0"),
    "a path for a model": (lambda: evaluate("runs/cnn"), "The model is the text 'runs/cnn', but must be a module or"),
    "a class for a model": (lambda: evaluate(nn.Flatten), "The model is the class Flatten; give an object of it"),
    "no model": (lambda: PGD(ball)(None, x, y), "The model is None, but must be a module or a function"),
    "an estimator": (lambda: accuracy(SimpleNamespace(), x, y), "The model is SimpleNamespace, but must be"),
    "a normalised path": (lambda: Normalised("net.pth", 0.5, 0.5), "The model is the text 'net.pth'"),
    "bytes": (
        lambda: evaluate(images=(x * 255).byte()),
        "Images are torch.uint8, but must be floating-point",
    ),
    "bytes in numpy": (lambda: FGSM(ball)(net, (x * 255).byte().numpy(), y), "images / 255 for bytes"),
    "pixels up to 255": (lambda: accuracy(net, x * 255, y), "but must lie in [0, 1]: divide by 255."),
    "normalised images": (lambda: predict(net, (x - 0.5) / 0.2), "put the normalisation inside the model"),
    "NaN": (lambda: predict(net, x / 0.0 * 0.0), "Images run from nan to nan, but must lie in [0, 1], without NaN"),
    "channels last": (
        lambda: evaluate(images=np.zeros((4, 8, 8, 3))),
        "but must be [n c h w]: images.transpose(0",
    ),
    "grey images without channels": (lambda: evaluate(images=np.zeros((4, 8, 8))), "images[:, None] for grey images"),
    "a list of images": (lambda: evaluate(images=list(x)), "a numpy array [n c h w] in [0, 1]: torch.stack(images)."),
    "a set of images": (
        lambda: evaluate(images=load("digits", "test")),
        "Images are an ImageSet, but must be a",
    ),
    "and how to mend it": (lambda: accuracy(net, load("digits", "test"), y), "[0, 1]: give its .images."),
    "a path of images": (lambda: evaluate(images="images/"), "Images are a str, but must be a tensor or a numpy array"),
    "half a batch": (lambda: accuracy(net, x, y, 0.5), "batch_size=0.5: it must be a whole number of at least 1."),
    "a run": (lambda: evaluate(Run("runs/cnn")), "The model is Run, but must be a module or a function from images to"),
    "objects in numpy": (lambda: predict(net, np.array([None])), "Images are of type object, but must be numbers."),
    "names as labels": (lambda: evaluate(labels=["cat", "dog", "cat", "cat"]), "Labels are of text, but"),
    "one text": (lambda: evaluate(labels="0123"), "Labels are a str, but must be class indices"),
    "fractions as labels": (lambda: evaluate(labels=[0.5, 1.0, 1.5, 2.0]), "Labels are torch.float64 [4], but must be"),
    "one-hot labels": (lambda: accuracy(net, x, np.eye(5, dtype=int)[:4]), "for one-hot labels: labels.argmax(1)"),
    "too few labels": (lambda: evaluate(labels=[0, 1]), "There are 4 images and 2 labels"),
    "a label without a class": (lambda: accuracy(net, x, [0, 1, 2, 5]), "the model has 5 classes"),
    "a tuple of outputs": (
        lambda: evaluate(lambda x: (net(x), x)),
        "a tuple (Tensor [1, 5], Tensor [1, 3, 8, 8])",
    ),
    "a dict of outputs": (
        lambda: accuracy(lambda x: {"scores": net(x)}, x, y),
        "The model returns dict with 'scores'",
    ),
    "a schedule nobody knows": (
        lambda: RECIPES["vae"](schedule="linear"),
        "`schedule=` is 'linear', but must be one of 'constant', 'cosine', 'one-cycle', 'step'.",
    ),
    "a noise schedule nobody knows": (
        lambda: RECIPES["diffusion"](noise_schedule="quadratic"),
        "`noise_schedule=` is 'quadratic', but must be one of 'cosine', 'linear'.",
    ),
    "nothing": (lambda: FGSM(ball)(lambda x: None, x, y), "The model returns None, but must return its logits"),
}
RIGHT: dict[str, Callable[[], Any]] = {
    "a list of targets": lambda: PGD(ball, steps=2, goal=targeted([1, 2, 3, 4]))(net, x, y),
    "a list of radii to sweep": lambda: evaluate(sweep=RadiusSweep([0.1, 0.2])),
    "numpy and a list": lambda: evaluate(images=x.double().numpy(), labels=y.tolist()),
    "numpy labels": lambda: accuracy(net, x.numpy(), y.to(torch.int32).numpy()),
    "numpy counts": lambda: PGD(ball, steps=np.int64(2), step_size=np.float32(0.1))(net, x, y),
    "an object with logits": lambda: evaluate(lambda x: SimpleNamespace(logits=net(x))),
    "a function normalised": lambda: accuracy(Normalised(lambda x: {"logits": net(x)}, 0.5, 0.25), x, y),
    "any objective": lambda: PGD(ball, steps=2, objective=margin)(net, x, y),
}


def said(call: Callable[[], Any]) -> str:
    """What a call raises; "" where it works."""
    try:
        call()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    calls = RIGHT | {name: call for name, (call, _) in WRONG.items()}
    Path("said.json").write_text(json.dumps({name: said(call) for name, call in calls.items()}))
