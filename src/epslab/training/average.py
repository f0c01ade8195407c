"""Exponential moving average of weights (Polyak averaging)."""

import torch
from torch import Tensor, nn


class Average:
    """theta_ema ← decay·theta_ema + (1 − decay)·theta after every step, starting from the weights as they came.

    Buffers of floating type (BatchNorm's statistics) are averaged with the parameters; integer ones stay as they are.

    Args:
        model: The model that is trained.
        decay: In [0, 1); 0 keeps no memory.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        tensors = [*model.parameters(), *model.buffers()]
        self._current = [t.detach() for t in tensors if t.is_floating_point()]
        self._average = [t.clone() for t in self._current]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after one more step."""
        torch._foreach_lerp_(self._average, self._current, 1.0 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and the average."""
        for current, average in zip(self._current, self._average, strict=True):
            kept = current.clone()
            current.copy_(average)
            average.copy_(kept)

    def state(self) -> list[Tensor]:
        """The average, for a checkpoint."""
        return self._average

    @torch.no_grad()
    def load(self, state: list[Tensor]) -> None:
        """Take the average from a checkpoint."""
        for average, saved in zip(self._average, state, strict=True):
            average.copy_(saved)
