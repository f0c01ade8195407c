"""Objectives that take turns: what each minimises, whose parameters it moves, and how."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from epslab.errors import UserError
from epslab.types import Objective

OptimiserFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Parameters to an optimiser, e.g. ``partial(torch.optim.SGD, lr=0.1)``."""
ScheduleFactory = Callable[[Optimizer, int], LRScheduler]
"""An optimiser and the number of steps it will take to a schedule, which is stepped after each of them."""


@dataclass(frozen=True)
class Turn:
    """One objective's turn at every batch, or at every n-th: a GAN is two of them.

    Args:
        objective: What is minimised; only the parameters of ``module`` get gradients from it.
        module: The model itself or a part of it.
        optimiser: Makes its optimiser from those of its parameters that require gradients; None: Adam.
        schedule: Makes its learning rate schedule; None: constant.
        every: It is this turn at batches every, 2·every, 3·every, … (counted from 1).

    Raises:
        UserError: every < 1.
    """

    objective: Objective
    module: nn.Module
    optimiser: OptimiserFactory | None = None
    schedule: ScheduleFactory | None = None
    every: int = 1

    def __post_init__(self) -> None:
        """Check ``every``."""
        if self.every < 1:
            raise UserError(f"every={self.every}: a turn comes at every n-th batch, n ≥ 1.")

    def comes(self, step: int) -> bool:
        """Whether batch number ``step`` (from 0) is this turn's."""
        return (step + 1) % self.every == 0

    def parameters(self) -> list[nn.Parameter]:
        """The parameters it moves: those of the module that require gradients."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]


def in_turn(
    objective: Objective | Mapping[str, Turn],
    model: nn.Module,
    optimiser: OptimiserFactory | None = None,
    schedule: ScheduleFactory | None = None,
) -> dict[str, Turn]:
    """Turns by name: those given, or one nameless turn over the whole model.

    Raises:
        UserError: There is none, or one moves nothing, or something that is no part of the model.
    """
    if isinstance(objective, Mapping):
        turns = dict(objective)
        if optimiser is not None or schedule is not None:
            raise UserError(
                "Several turns bring their own optimisers and schedules: give them to each Turn, not to fit."
            )
    else:
        turns = {"": Turn(objective, model, optimiser, schedule)}
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


def adam(learning_rate: float, fused: bool = True) -> OptimiserFactory:
    """Adam (Kingma & Ba, 2015) with torch's defaults, as one fused kernel where there is one."""

    def make(parameters: Iterable[nn.Parameter]) -> Optimizer:
        parameters = list(parameters)
        fusable = fused and all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in parameters)
        return Adam(parameters, lr=learning_rate, fused=fusable or None)

    return make


class Gradients:
    """Gives gradients to one turn's parameters alone.

    Args:
        turns: All turns; a parameter that no turn moves never gets a gradient.
        model: Holds every parameter.
    """

    def __init__(self, turns: Iterable[Turn], model: nn.Module) -> None:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._others = []
        for turn in turns:
            moved = set(map(id, turn.parameters()))
            self._others.append([parameter for parameter in parameters if id(parameter) not in moved])

    @contextmanager
    def only(self, turn: int) -> Iterator[None]:
        """Within it, the parameters of every other part require no gradient."""
        others = self._others[turn]
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in others:
                parameter.requires_grad_(True)


def column(stage: str, turn: str, key: str) -> str:
    """The name of a value's column: "val/loss", or "val/critic/loss" with a turn's name."""
    return "/".join(part for part in (stage, turn, key) if part)
