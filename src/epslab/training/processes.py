"""What several processes must agree on."""

from typing import Literal

import torch
from torch import Tensor, distributed


def reduced(tensor: Tensor, how: Literal["SUM", "MIN", "MAX"], device: torch.device) -> Tensor:
    """The tensor reduced over all processes (through ``device``); with one process, the tensor itself."""
    if distributed.is_initialized() and distributed.get_world_size() > 1:
        tensor = tensor.to(device, copy=True)
        distributed.all_reduce(tensor, op=getattr(distributed.ReduceOp, how))
    return tensor


def anywhere(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process."""
    return bool(reduced(torch.tensor(float(flag)), "MAX", device).item())
