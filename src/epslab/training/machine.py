"""What a model computes on."""

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from epslab.errors import UserError, unknown

if TYPE_CHECKING:
    import torch

PRECISIONS = (
    "32-true", "16-mixed", "bf16-mixed", "64-true", "16-true", "bf16-true", "transformer-engine",
    "transformer-engine-float16", "32", "16", "bf16", "64",
)  # fmt: skip
"""As Lightning names them."""


@dataclass(frozen=True)
class Machine:
    """Machine, in Lightning's words.

    >>> from epslab.training import Machine
    >>> machine = Machine("gpu", devices=4, precision="bf16-mixed")
    >>> machine.nodes
    1

    Args:
        accelerator: "auto", "cpu", "gpu" or "mps"; "auto" takes the best there is.
        devices: Number of devices per machine, a list of their indices, or "auto" for all. Each has one process.
        nodes: Number of machines.
        strategy: How processes share the work: "auto", "ddp", "fsdp", …, or one of Lightning's strategies.
        precision: Precision of the arithmetic: "32-true", "16-mixed", "bf16-mixed", "64-true". "bf16-mixed" is faster
            on GPUs and on processors that multiply bfloat16 (AVX512-BF16, AMX), and slower on others.

    Raises:
        UserError: A number of devices or machines below 1, text that names no devices, or an unknown precision.
    """

    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    nodes: int = 1
    strategy: Any = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name in ("devices", "nodes"):
            count = getattr(self, name)
            if isinstance(count, int) and count < 1:
                raise UserError(f"`{name}=` must be at least 1, not {count}.")
        if isinstance(self.devices, str) and not re.fullmatch(r"auto|-1|\d+(,\d+)*", self.devices):
            raise UserError(f"`devices=` is '{self.devices}', but must be a number, a list of indices, or \"auto\".")
        if str(self.precision) not in PRECISIONS:
            raise unknown("precision", str(self.precision), PRECISIONS)

    def check(self) -> None:
        """Make sure that this machine has what is asked for, before Lightning starts a process per device.

        Raises:
            UserError: The accelerator is unknown or not here, there are more processes than cores, or a list of CPUs.
        """
        cores = os.cpu_count() or 1
        if self.device.type == "cpu" and not (isinstance(self.devices, int) or self.devices == "auto"):
            raise UserError(f"`devices=` is {self.devices}, but CPUs have no indices: give the number of processes.")
        if self.device.type == "cpu" and isinstance(self.devices, int) and self.devices > cores:
            raise UserError(
                f"`devices={self.devices}`: on CPUs each device is a process, and this machine has {cores} cores; ask"
                f" for at most {cores}."
            )

    @property
    def alone(self) -> bool:
        """Whether one device of one machine is asked for."""
        return self.devices == 1 and self.nodes == 1

    @property
    def device(self) -> "torch.device":
        """The first device of the accelerator, as torch names it.

        Raises:
            UserError: The accelerator is unknown, or this machine has none.
        """
        import torch

        there = {"cpu": True, "gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = "gpu" if self.accelerator == "cuda" else self.accelerator
        if name == "auto":
            name = next(known for known in ("gpu", "mps", "cpu") if there[known])
        if name not in there:
            raise unknown("accelerator", name, ("auto", *there))
        if not there[name]:
            raise UserError(f"There is no {name} in this machine; use `accelerator='auto'` or cpu.")
        return torch.device("cuda" if name == "gpu" else name)
