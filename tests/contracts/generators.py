"""The generative models that the contracts run over: a model joins by one line in ``CASES``."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from epslab import seeds
from epslab.data import ImageSet, PointSet
from epslab.recipes import RECIPES, TrainingSettings
from epslab.recipes.plan import Plan
from epslab.recipes.running import train
from epslab.recipes.table import plan_of
from epslab.runs import Run
from epslab.training import Machine
from epslab.training.module import TrainingModule
from epslab.training.turns import Turn, in_turn

Shape = tuple[int, ...]
Density = Callable[[Any, Tensor, Tensor], Tensor]
"""(model, examples, their seeds) to a log-density or a bound on one, in nats, [n]."""

IMAGES: tuple[Shape, ...] = ((1, 8, 8), (3, 5, 7), (1, 4, 9))
"""One and three channels, odd sides, the smallest side."""
POINTS: tuple[Shape, ...] = ((2,),)


@dataclass(frozen=True)
class Case:
    """A model, and what of the contracts depends on which model it is.

    Args:
        name: Of the case: the recipe's, perhaps with a variant.
        settings: The smallest that train everything the model has.
        shapes: Of the examples it works on; the run is trained on the second.
        draws: Whether it has ``sample``.
        densities: Its log-densities and bounds by name; they are per example, in nats.
        atol: Largest change of a sample by rounding alone, where the batch has another size.
    """

    name: str
    settings: TrainingSettings
    shapes: tuple[Shape, ...] = IMAGES
    draws: bool = True
    densities: tuple[tuple[str, Density], ...] = ()
    atol: float = 1e-5

    @property
    def recipe(self) -> str:
        """The name of the recipe."""
        return next(name for name in RECIPES if RECIPES[name] is type(self.settings))

    def plan(self, shape: Shape, seed: int = 0) -> Plan:
        """The plan for examples of this shape, untrained."""
        return plan_of(self.settings, examples(1, shape), seed)

    def model(self, shape: Shape) -> Any:
        """A model in which nothing is at its initial value: no layer that starts at zero hides what it does."""
        return shaken(self.plan(shape).model)

    def turns(self, plan: Plan) -> dict[str, Turn]:
        """The plan's turns, by name."""
        from epslab.training import Optimisation

        return in_turn(plan.turns, plan.model, Optimisation())

    def train(self, out: Path, **arguments: Any) -> Run:
        """Two epochs of five batches, the last of them short, on images of odd sides in three channels."""
        return train(
            self.settings,
            data=f"contracts.generators:{'images' if len(self.shapes[0]) == 3 else 'points'}",
            out=out,
            machine=Machine("cpu"),
            progress=False,
            **arguments,
        )


def examples(n: int, shape: Shape, seed: int = 0) -> ImageSet | PointSet:
    """Images with pixels at 0 and 1 among them, or points."""
    g = seeds.generator(seed, "examples", *shape)
    if len(shape) == 3:
        pixels = torch.randint(-60, 316, (n, *shape), generator=g).clamp(0, 255).to(torch.uint8)
        return ImageSet(pixels, torch.arange(n) % 2, ("even", "odd"))
    return PointSet(torch.randn(n, *shape, generator=g))


def images(split: str) -> ImageSet:
    """A data set by name: 40 images to train on, 36 of them after the split, and 12 to measure."""
    made = examples(40 if split == "train" else 12, (3, 5, 7), seed=split == "test")
    assert isinstance(made, ImageSet)
    return made


def points(split: str) -> PointSet:
    """The same of points."""
    made = examples(40 if split == "train" else 12, (2,), seed=split == "test")
    assert isinstance(made, PointSet)
    return made


def shaken(model: nn.Module) -> nn.Module:
    """Every weight moved a little, and BatchNorm's statistics as training would leave them."""
    g = seeds.generator(0, "shaken")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=g, dtype=parameter.dtype))
        for norm in model.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.running_mean.copy_(0.3 * torch.randn(norm.running_mean.shape, generator=g))  # type: ignore[union-attr]
                norm.running_var.copy_(0.5 + torch.rand(norm.running_var.shape, generator=g))  # type: ignore[union-attr]
    return model


def interrupted_and_killed(name: str, out: Path) -> None:
    """Train until Ctrl-C within the first epoch, go on, and die by SIGKILL within the second; runs in its own process.

    Batch 3 of 10 ends the first part, batch 8 the second; the state on disk is that after batch 5.
    """
    torch.set_num_threads(1)
    case = next(case for case in CASES if case.name == name)
    step = TrainingModule.training_step

    def ended_at(batch: int, number: int) -> None:
        def training_step(module: TrainingModule, *arguments: Any) -> None:
            step(module, *arguments)
            if module.standing.step == batch:
                os.kill(os.getpid(), number)

        TrainingModule.training_step = training_step  # type: ignore[method-assign]

    signal.signal(signal.SIGINT, signal.default_int_handler)
    ended_at(3, signal.SIGINT)
    assert case.train(out).result()["status"] == "interrupted"
    ended_at(8, signal.SIGKILL)
    case.train(out, resume=True)


def _case(name: str, settings: dict[str, object], **differences: Any) -> Case:
    """A case of the recipe whose name this one starts with; every model has its weights averaged."""
    recipe = max((recipe for recipe in RECIPES if name.startswith(recipe)), key=len)
    common = {"epochs": 2, "batch_size": 8, "ema_decay": 0.9}
    return Case(name, RECIPES[recipe](**common | settings), **differences)


def _elbo(model: Any, examples: Tensor, own: Tensor) -> Tensor:
    bound: Tensor = -model.terms(examples, seeds=own).negative_elbo
    return bound


def _dequantised(model: Any, examples: Tensor, own: Tensor) -> Tensor:
    bound: Tensor = model.bound(examples, seeds=own)
    return bound


def _exact(model: Any, examples: Tensor, own: Tensor) -> Tensor:
    log_p: Tensor = model.log_prob(examples)
    return log_p


def _bound(model: Any, examples: Tensor, own: Tensor) -> Tensor:
    bound: Tensor = -model.bound(examples, draws=3, seeds=own)
    return bound


_ADVERSARIAL: dict[str, object] = {"latent_dim": 2, "hidden": (8,), "judge": (8,)}

CASES = [
    _case("vae", {"latent_dim": 2, "hidden": (8,)}, densities=(("elbo", _elbo),)),
    _case(
        "vae-points",
        {"latent_dim": 2, "hidden": (8,), "likelihood": "normal"},
        shapes=POINTS,
        densities=(("elbo", _elbo),),
    ),
    _case("adversarial-autoencoder", _ADVERSARIAL, shapes=(*IMAGES, *POINTS)),
    _case(
        "adversarial-autoencoder-conv",
        _ADVERSARIAL | {"matching": "wasserstein", "judge_steps": 2, "net": "conv", "width": 2},
    ),
    _case(
        "adversarial-autoencoder-mmd",
        {"latent_dim": 2, "hidden": (8,), "matching": "mmd"},
        shapes=(*IMAGES, *POINTS),
    ),
    _case("vae-conv", {"latent_dim": 2, "net": "conv", "width": 2}, densities=(("elbo", _elbo),)),
    _case(
        "vae-flows",
        {"latent_dim": 2, "hidden": (8,), "posterior": "planar", "posterior_steps": 2, "prior": "flow"},
        densities=(("elbo", _elbo),),
    ),
    _case(
        "diffusion",
        {"width": 4, "hidden": 8, "timesteps": 20, "sampling_steps": 5, "predicts": "v"},
        shapes=(*IMAGES, *POINTS),
        densities=(("bound", _bound),),
    ),
    _case(
        "diffusion-noise",
        {"width": 4, "hidden": 8, "timesteps": 20, "sampler": "ancestral", "predicts": "noise"},
        shapes=((3, 5, 7), *POINTS),
        densities=(("bound", _bound),),
        atol=1e-3,  # untrained, and not clamped: samples of points are far away
    ),
    _case(
        "diffusion-flow",
        {"width": 4, "hidden": 8, "timesteps": 20, "sampling_steps": 5, "predicts": "flow", "sampler": "heun"},
        shapes=(*IMAGES, *POINTS),
    ),
    _case(
        "coupling-flow",
        {"steps": 1, "width": 4, "levels": 16},
        shapes=(*IMAGES, *POINTS),
        densities=(("bound", _dequantised), ("density", _exact)),
    ),
    _case("coupling-flow-points", {"steps": 2, "width": 8}, shapes=POINTS, densities=(("density", _exact),)),
    _case(
        "denoising-autoencoder",
        {"width": 2, "hidden": 4, "levels": 4, "steps": 1},
        shapes=(*IMAGES, *POINTS),
        atol=1e-4,
    ),
    _case("autoencoder", {"latent_dim": 2, "hidden": (8,)}, shapes=(*IMAGES, *POINTS), draws=False),
    _case("autoencoder-conv", {"latent_dim": 2, "net": "conv", "width": 2}, draws=False),
    _case("gan", {"latent_dim": 3, "hidden": (8,)}, shapes=IMAGES + POINTS),
    _case("gan-conv", {"latent_dim": 3, "net": "conv", "width": 2}),
    _case("wgan-points", {"latent_dim": 3, "hidden": (8,), "critic_steps": 2}, shapes=POINTS),
    _case("wgan-gp", {"latent_dim": 3, "net": "conv", "width": 2, "critic_steps": 2}),
]

TRAINED = [*{case.recipe: case for case in reversed(CASES)}.values()]
"""The first case of each recipe: variants are trained by the same code."""
