"""The user's own classifier: found by its import path, given its weights, and held to what a classifier is here."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from epslab.classifiers import Normalised
from epslab.errors import UserError
from epslab.names import cause, importable_from_here, imported
from epslab.nets.answers import LogitsOf, answer
from epslab.nets.pretrained import load_pretrained
from epslab.types import Classifier, ImageShape


def load_model(
    path: str,
    image_shape: ImageShape,
    classes: int,
    *,
    state: Path | str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """The classifier at an import path, in eval mode: images [n c h w] in [0, 1] to logits [n classes].

    The working folder can be imported from. What the path names may be a factory without arguments (a function or a
    class), a module object, or a function of images; it may return its logits within an object
    (``epslab.nets.answers``).

    Args:
        path: ``package.module:name``.
        image_shape: Of the images it will be given.
        classes: How many classes they have.
        state: All of its weights and no others: safetensors, or a file of ``torch.save`` read with
            ``weights_only=True`` (``epslab.nets.pretrained``).
        mean: What its normalisation subtracts, one a channel or one for all; None: it takes images in [0, 1] itself.
        std: What its normalisation divides by, after that.

    Raises:
        UserError: There is no such thing, it cannot be imported or made, the weights are not its own, or it is no
            classifier of such images.
    """
    if (mean is None) != (std is None):
        given, missing = ("mean", "std") if std is None else ("std", "mean")
        raise UserError(f"`{given}=` was given without `{missing}=`: a normalisation needs both, (x − mean)/std.")
    with importable_from_here():
        net = _made(imported(path), path)
    if state is not None:
        if not isinstance(net, nn.Module):
            raise UserError(f"'{path}' is a function of images, which has no weights to load; leave `state=` out.")
        load_pretrained(net, state, free=())
    if isinstance(net, nn.Module):
        net.eval()
    # Wrapped only where it must be: what an attack gains by tracing a net is lost on a net whose output it cannot.
    model: Classifier = net if _gives_a_tensor(net, image_shape) else LogitsOf(net).eval()
    if mean is not None and std is not None:
        model = Normalised(model, mean, std).eval()
    require_classifier(model, path, image_shape, classes)
    return model


def require_classifier(model: Classifier, name: str, image_shape: ImageShape, classes: int) -> None:
    """Check on two grey images that a model gives one row of finite logits an image, one a class of the data.

    Args:
        model: What is asked.
        name: How the sentence calls it.
        image_shape: Of the images it will be given.
        classes: How many classes the data has.

    Raises:
        UserError: It cannot take such images, or its output is something else.
    """
    try:
        with torch.no_grad():
            logits = answer(model, _grey(model, image_shape))
    except UserError as error:
        raise UserError(str(error).replace("The model", f"'{name}'", 1)) from error
    except Exception as error:
        # Whatever the user's code raises: the sentence says what was tried, its cause shows where it broke.
        shape = "×".join(map(str, image_shape))
        raise UserError(
            f"'{name}' cannot take images of shape {shape} ({cause(error)}); give data of the shape it was made for."
        ) from error
    if logits.ndim != 2 or len(logits) != 2:
        raise UserError(
            f"'{name}' gives a tensor of shape {list(logits.shape)} for two images, but a classifier gives logits, one"
            f" a class for each image, [2 {classes}] here."
        )
    if not logits.isfinite().all():
        raise UserError(f"'{name}' gives logits that are not finite for grey images; mend it, or give its weights.")
    if logits.shape[1] != classes:
        raise UserError(
            f"'{name}' tells {logits.shape[1]} classes apart, but the data has {classes}; give data labelled with the"
            " model's own classes."
        )


def _gives_a_tensor(net: Callable[[Tensor], Any], image_shape: ImageShape) -> bool:
    """Whether the net's output is a tensor as it is; a net that fails is found out later."""
    try:
        with torch.no_grad():
            return isinstance(net(_grey(net, image_shape)), Tensor)
    except Exception:
        return False


def _grey(model: Callable[[Tensor], Any], image_shape: ImageShape) -> Tensor:
    """Two grey images in the model's own type, on its device."""
    like = next(iter(model.parameters()), None) if isinstance(model, nn.Module) else None
    images = torch.full((2, *image_shape), 0.5)
    return images.to(like) if like is not None and like.is_floating_point() else images


def _made(found: Any, path: str) -> Callable[[Tensor], Any]:
    """The model itself: what was found, or what it makes when it is called without arguments."""
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise UserError(
            f"'{path}' is {_article(found)}, but must be a model, a function of images, or a factory without arguments."
        )
    needed = _needed(found)
    if len(needed) == 1 and not inspect.isclass(found):
        return found  # type: ignore[no-any-return]
    if needed:
        raise UserError(
            f"'{path}' needs arguments ({', '.join(needed)}); name a factory without any, which calls it with yours."
        )
    try:
        made = found()
    except Exception as error:
        raise UserError(f"'{path}' made no model: it raised {cause(error)}.") from error
    if not callable(made):
        raise UserError(f"'{path}' returned {_article(made)}, but must return a model: images to logits.")
    return made  # type: ignore[no-any-return]


def _needed(function: Callable[..., Any]) -> list[str]:
    """The arguments a call must give; none where the function does not say."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p.name for p in parameters if p.default is inspect.Parameter.empty and p.kind not in optional]


def _article(thing: object) -> str:
    return "None" if thing is None else f"of type {type(thing).__name__}"
