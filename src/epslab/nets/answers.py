"""What a model answers, as logits: every attack, evaluation and accuracy asks a model here.

A model may return its logits as a tensor, within an object or a dict (``output.logits`` or ``output["logits"]``, as
Hugging Face's classifiers do), or as a numpy array; a function may also want its images as one. Numpy has no gradients:
attacks that follow them do not move the images of such a model, and the findings of an evaluation say so.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from epslab.errors import UserError
from epslab.types import Images


def answer(model: Callable[..., Any], images: Images, **noise: Any) -> Tensor:
    """The model's logits at these images, on their device.

    >>> answer(lambda x: {"logits": x.flatten(1)}, torch.zeros(2, 1, 1, 3)).shape
    torch.Size([2, 3])
    >>> answer(lambda x: x.reshape(len(x), -1) @ np.ones((3, 2)), torch.ones(1, 1, 1, 3))
    tensor([[3., 3.]], dtype=torch.float64)

    Args:
        model: Images to logits, any callable.
        images: [n c h w] in [0, 1].
        noise: What a model that draws is given: ``seeds`` and ``counter``.

    Raises:
        UserError: Its output holds no logits.
    """
    try:
        output = model(images, **noise)
    except (TypeError, AttributeError, RuntimeError, DeprecationWarning) as error:  # the last where warnings are errors
        output = _in_numpy(model, images, noise, error)
    return logits_of(output).to(images.device)


def logits_of(output: object) -> Tensor:
    """The logits that a model's output is or holds; a tensor is passed on as it is, with its gradient.

    Raises:
        UserError: It holds none, or does not say which of its parts they are.
    """
    if isinstance(output, Tensor):
        return output
    held = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if isinstance(held, Tensor):
        return held
    if isinstance(held, np.ndarray):
        return torch.as_tensor(held)
    if isinstance(output, tuple | list):
        parts = ", ".join(_form(part) for part in output)
        raise UserError(
            f"The model returns a {type(output).__name__} ({parts}), but must return its logits [n classes]: give a"
            " module around it whose forward returns that part, for the first `return self.net(images)[0]`."
        )
    holds = f" with {', '.join(map(repr, output))}" if isinstance(output, Mapping) else ""
    raise UserError(
        f"The model returns {_form(output)}{holds}, but must return its logits: a tensor [n classes], or an object or"
        " dict that holds them as 'logits'."
    )


def require_model(model: object) -> None:
    """Refuse what cannot be asked.

    Raises:
        UserError: It is no callable, or a class.
    """
    if isinstance(model, str):
        raise UserError(
            f"The model is the text '{model}', but must be a module or a function of images: for a run folder"
            f" epslab.recipes.load(Run.open('{model}')), for an import path epslab.audits.load_model."
        )
    if isinstance(model, type):
        raise UserError(f"The model is the class {model.__name__}; give an object of it, {model.__name__}(…).")
    if not callable(model):
        of_a_run = ": of a run, epslab.recipes.load(run)" if type(model).__name__ == "Run" else ""
        raise UserError(
            f"The model is {_form(model)}, but must be a module or a function from images to logits{of_a_run}."
        )


class LogitsOf(nn.Module):
    """A model whose output holds its logits, as a module that returns them; see ``answer``.

    Args:
        net: Images to such an output; any callable.
    """

    def __init__(self, net: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Images) -> Tensor:
        """The logits."""
        return answer(self.net, images)


def _in_numpy(model: Callable[..., Any], images: Images, noise: Mapping[str, Any], error: Exception) -> Any:
    """The output of a model that failed on a tensor because it computes in numpy; else its error."""
    stops_gradients = "requires grad" in str(error)  # what a tensor says that is to become an array
    if stops_gradients and isinstance(model, nn.Module):
        return model(images.detach(), **noise)
    if isinstance(model, nn.Module) or (isinstance(error, RuntimeError) and not stops_gradients):
        raise error
    given = images.detach().cpu()
    try:
        return logits_of(model((given.float() if given.dtype == torch.bfloat16 else given).numpy(), **noise))
    except Exception:
        raise error from None


def _form(thing: object) -> str:
    """What something is: "Tensor [4, 10]", "dict"."""
    shape = f" {list(thing.shape)}" if isinstance(thing, Tensor | np.ndarray) else ""
    return f"{type(thing).__name__}{shape}" if thing is not None else "None"
