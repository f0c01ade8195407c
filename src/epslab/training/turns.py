"""Objectives that take turns: what each minimises, which parameters it moves, and with which optimiser."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from epslab.errors import UserError
from epslab.training.limits import positive
from epslab.types import Objective

OptimiserFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Parameters to an optimiser, e.g. ``partial(torch.optim.SGD, lr=0.1)``."""
ScheduleFactory = Callable[[Optimizer, int], LRScheduler]
"""An optimiser and the number of steps it will take to a schedule, which is stepped after each of them."""


@dataclass(frozen=True)
class Optimisation:
    """How steps are taken.

    >>> from functools import partial
    >>> import torch
    >>> from epslab.training import Optimisation
    >>> sgd = Optimisation(partial(torch.optim.SGD, lr=0.1, momentum=0.9), gradient_clip=1.0, average=0.999)
    >>> sgd.average
    0.999

    Args:
        optimiser: Makes the optimiser from the parameters; None: Adam, fused. Turns bring their own.
        schedule: Makes the schedule from the optimiser and its number of steps; None: constant. Turns bring their own.
        gradient_clip: Largest norm of a step's gradient; None: any.
        average: Decay of the weights' moving average, in [0, 1); validation, ``on_epoch`` and the weights that are kept
            then use the average. None: no average.

    Raises:
        UserError: One is out of range.
    """

    optimiser: OptimiserFactory | None = None
    schedule: ScheduleFactory | None = None
    gradient_clip: float | None = None
    average: float | None = None

    def __post_init__(self) -> None:
        positive(gradient_clip=self.gradient_clip)
        if self.average is not None and not 0 <= self.average < 1:
            raise UserError(f"average={self.average}: the average's decay must lie in [0, 1), e.g. 0.999.")


@dataclass(frozen=True)
class Turn:
    """One objective's turn at every batch, or at every n-th batch: a GAN is two of them.

    >>> from torch import nn
    >>> from epslab.training import Turn
    >>> model = nn.ModuleDict({"generator": nn.Linear(2, 2), "critic": nn.Linear(2, 1)})
    >>> def judge(batch, progress):  # the critic's outputs should differ between real and generated points
    ...     real, fake = model["critic"](batch.examples), model["critic"](model["generator"](batch.examples))
    ...     return {"loss": (fake - real).squeeze(1)}
    >>> def deceive(batch, progress):
    ...     return {"loss": -model["critic"](model["generator"](batch.examples)).squeeze(1)}
    >>> turns = {"critic": Turn(judge, model["critic"]), "generator": Turn(deceive, model["generator"], every=5)}
    >>> turns["generator"].comes(4)
    True

    Args:
        objective: What is minimised; only the parameters of ``module`` get gradients from it.
        module: The model itself or a part of it.
        optimiser: Makes the optimiser from the module's parameters that require gradients; None: Adam.
        schedule: Makes the learning rate schedule; None: constant.
        every: The turn comes at batches every, 2·every, 3·every, … (counted from 1).

    Raises:
        UserError: every < 1.
    """

    objective: Objective
    module: nn.Module
    optimiser: OptimiserFactory | None = None
    schedule: ScheduleFactory | None = None
    every: int = 1

    def __post_init__(self) -> None:
        if self.every < 1:
            raise UserError(f"every={self.every}: a turn comes at every n-th batch, n ≥ 1.")

    def comes(self, step: int) -> bool:
        """Whether batch number ``step`` (from 0) is this turn's."""
        return (step + 1) % self.every == 0

    def parameters(self) -> list[nn.Parameter]:
        """The parameters it moves: those of the module that require gradients."""
        return trained(self.module)


def in_turn(objective: Objective | Mapping[str, Turn], model: nn.Module, optimisation: Optimisation) -> dict[str, Turn]:
    """Turns by name: those given, or one nameless turn over the whole model.

    Raises:
        UserError: There is no turn; or one has nothing to train, or trains what is no part of the model.
    """
    if isinstance(objective, Mapping):
        turns = dict(objective)
        if optimisation.optimiser is not None or optimisation.schedule is not None:
            raise UserError(
                "Several turns bring their own optimisers and schedules: give them to each Turn, not to fit."
            )
    else:
        turns = {"": Turn(objective, model, optimisation.optimiser, optimisation.schedule)}
    if not turns:
        raise UserError("No turns were given: training needs an objective, or a mapping with at least one Turn.")
    own = {id(parameter) for parameter in model.parameters()}
    for name, turn in turns.items():
        moved = turn.parameters()
        what = f"turn '{name}'" if name else "the model"
        if not moved:
            raise UserError(f"There is nothing to train: {what} has no parameter that requires a gradient.")
        if not own.issuperset(map(id, moved)):
            raise UserError(
                f"The module of {what} is not a part of the model given to fit; pass the model that holds it."
            )
    return turns


def adam(learning_rate: float, fused: bool = True, betas: tuple[float, float] = (0.9, 0.999)) -> OptimiserFactory:
    """Adam (Kingma & Ba, 2015), by default with torch's decay rates, as one fused kernel where there is one."""

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        parameters = list(parameters)
        fusable = fused and all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
        return Adam(parameters, lr=learning_rate, betas=betas, fused=fusable or None)

    return make


def others(turn: Turn, model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the model that require gradients and are not moved by this turn."""
    moved = set(map(id, turn.parameters()))
    return [parameter for parameter in trained(model) if id(parameter) not in moved]


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside the block these parameters, which require gradients, require none."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def trained(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that require gradients."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def column(stage: str, turn: str, key: str) -> str:
    """The name of a value's column: "val/loss", or "val/critic/loss" with a turn's name."""
    return "/".join(part for part in (stage, turn, key) if part)
