"""What several processes must agree on."""

from typing import Literal

import torch
from torch import Tensor, distributed

_OPERATIONS = {
    "sum": distributed.ReduceOp.SUM,
    "min": distributed.ReduceOp.MIN,
    "max": distributed.ReduceOp.MAX,
}


def reduced(tensor: Tensor, how: Literal["sum", "min", "max"], device: torch.device) -> Tensor:
    """The tensor reduced over all processes (on ``device``, for the communication); itself where there is one."""
    if distributed.is_initialized() and distributed.get_world_size() > 1:
        tensor = tensor.to(device, copy=True)
        distributed.all_reduce(tensor, op=_OPERATIONS[how])
    return tensor


def anywhere(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process."""
    return bool(reduced(torch.tensor(float(flag)), "max", device).item())
