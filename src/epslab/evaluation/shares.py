"""Several processes that share one evaluation, started by Lightning Fabric."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.strategy import Strategy

from epslab.errors import UserError
from epslab.training.surroundings import quiet


class Processes:
    """The processes of an evaluation: this one alone, or those that Fabric starts.

    Args:
        devices: How many processes, or which devices; 1: this process alone, and Fabric is not asked.
        accelerator: Fabric's: "cpu", "cuda", "auto", ….
        strategy: Fabric's: "ddp" or "auto".
        num_nodes: Machines.
    """

    def __init__(
        self, devices: int | str | Sequence[int], accelerator: str, strategy: str | Strategy, num_nodes: int
    ) -> None:
        self._fabric: Fabric | None = None
        self.rank, self.count = 0, 1
        self.device: torch.device | None = None  #: where this process computes; None: where the model is
        if devices == 1 and num_nodes == 1:
            return
        chosen: Any = devices if isinstance(devices, int | str) else list(devices)
        with quiet():
            self._fabric = Fabric(accelerator=accelerator, devices=chosen, strategy=strategy, num_nodes=num_nodes)
            self._fabric.launch()
        self.rank, self.count = self._fabric.global_rank, self._fabric.world_size
        self.device = self._fabric.device

    def first(self, act: Callable[[], None]) -> None:
        """Act in the first process; where it refuses, every process raises the same sentence.

        Raises:
            UserError: ``act`` raised it.
        """
        if self._fabric is None:
            act()
            return
        refusal: str | None = None
        if self.rank == 0:
            try:
                act()
            except UserError as error:
                refusal = str(error)
        refusal = self._fabric.broadcast(refusal)
        if refusal is not None:
            raise UserError(refusal)

    def everywhere(self, act: Callable[[], None]) -> None:
        """Act in every process and wait for all; where one fails, all do.

        Raises:
            UserError: Another process failed.
        """
        if self._fabric is None:
            act()
            return
        failure: Exception | None = None
        try:
            act()
        except Exception as error:
            failure = error
        failed = self._fabric.all_reduce(torch.tensor(float(failure is not None), device=self.device), reduce_op="sum")
        if failure is not None:
            raise failure
        if bool(failed):
            raise UserError("The evaluation failed in another process, which says why; mend that, and resume.")
