"""What a model is trained on."""

from dataclasses import dataclass
from typing import Any

from epslab.errors import UserError


@dataclass(frozen=True)
class Machine:
    """What a model is trained on, in Lightning's words.

    >>> from epslab.training import Machine
    >>> machine = Machine("gpu", devices=4, precision="bf16-mixed")
    >>> machine.nodes
    1

    Args:
        accelerator: "auto", "cpu", "gpu", …
        devices: How many per machine, or which.
        nodes: Machines.
        strategy: "auto", "ddp", "fsdp", …, or one of Lightning's strategies.
        precision: "32-true", "16-mixed", "bf16-mixed", …

    Raises:
        UserError: nodes < 1.
    """

    accelerator: str = "auto"
    devices: int | str | list[int] = 1
    nodes: int = 1
    strategy: Any = "auto"
    precision: str = "32-true"

    def __post_init__(self) -> None:
        """Check the number of machines."""
        if self.nodes < 1:
            raise UserError(f"nodes={self.nodes}: it must be at least 1.")

    @property
    def alone(self) -> bool:
        """Whether one device of one machine is asked for."""
        return self.devices == 1 and self.nodes == 1
