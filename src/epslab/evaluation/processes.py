"""Several processes that share one evaluation, started by Lightning Fabric."""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import torch

from epslab.errors import UserError
from epslab.evaluation.link import FAILED, Link
from epslab.lightning import ChildProcessObserver, Fabric, Strategy
from epslab.training.machine import Machine
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
        self._link: Link | None = None
        self.rank, self.count = 0, 1
        self.device: torch.device | None = None  #: where this process computes; None: where the model is
        if isinstance(devices, int):
            Machine(accelerator, devices).check()
        if devices == 1 and num_nodes == 1:
            return
        chosen: Any = devices if isinstance(devices, int | str) else list(devices)
        with quiet():
            fabric = Fabric(accelerator=accelerator, devices=chosen, strategy=strategy, num_nodes=num_nodes)
            fabric.launch()
        self.rank, self.count = fabric.global_rank, fabric.world_size
        self.device = fabric.device
        if self.count > 1:
            _let_speak()
            self._link = Link.between(self.rank, self.count, os.environ["MASTER_ADDR"], fabric.broadcast)

    def first(self, act: Callable[[], None]) -> None:
        """Act in the first process; where it refuses, every process raises the same sentence.

        Raises:
            UserError: ``act`` raised it, or a process is gone.
        """
        if self._link is None:
            act()
        elif self.rank == 0:
            refusal: str | None = None
            try:
                act()
            except UserError as error:
                refusal = str(error)
            self._link.tell(refusal=refusal)
            if refusal is not None:
                raise UserError(refusal)
        elif (refusal := self._link.hear()[0].get("refusal")) is not None:
            raise UserError(refusal)

    def everywhere(self, act: Callable[[], None]) -> None:
        """Act in every process and wait for all; where one fails or is killed, all stop.

        Raises:
            UserError: Another process failed, or is gone.
        """
        if self._link is None:
            act()
            return
        try:
            self._link.during(act)
        except BaseException:
            self._link.tell(failed=True)
            raise
        if self.rank:
            self._link.tell(failed=False)
        in_vain = any(message["failed"] for message in self._link.hear())
        if not self.rank:
            self._link.tell(failed=in_vain)
        if in_vain:
            raise UserError(FAILED)

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        if self._link is not None:
            self._link.close()


def _let_speak() -> None:
    """Stop Fabric's watch over the processes it started: when one of them dies, it kills this one without a word."""
    for thread in threading.enumerate():
        if isinstance(thread, ChildProcessObserver):
            thread._child_processes = []
