"""A faster copy of a classifier for the inside of an attack: BatchNorm folded into the convolution before it.

In eval mode BatchNorm is an affine map of each channel, so convolution and BatchNorm are one convolution with other
weights. The copy is used only where its logits agree with the model's, and no success is taken on its word.
"""

import copy

import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from epslab.nets.answers import answer
from epslab.types import Classifier, Images, Logits

AGREEMENT = 1e-4
"""Largest difference between the copy's logits and the model's, as a share of the largest logit."""


def folded(model: Classifier, images: Images, logits: Logits, *, compiled: bool = False) -> Classifier:
    """The copy, channels_last, or the model itself where there is nothing to gain or the logits do not agree.

    Args:
        model: In eval mode, its parameters without gradients.
        images: Where both are compared.
        logits: The model's at these images.
        compiled: Let ``torch.compile`` make the copy.
    """
    if not isinstance(model, nn.Module) or not (compiled or foldable(model)):
        return model
    try:
        # Not every model can be traced, copied or compiled, and each fails in its own way; the model itself always can.
        own = _fold(copy.deepcopy(model))
        own.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        fast: Classifier = torch.compile(own) if compiled else own
        with torch.no_grad():
            difference = (answer(fast, images) - logits).abs().max()
    except Exception:
        return model
    return fast if difference <= AGREEMENT * logits.abs().max() else model


def foldable(model: Classifier) -> bool:
    """Whether the model has a BatchNorm that may be folded."""
    return isinstance(model, nn.Module) and any(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def _fold(model: nn.Module) -> nn.Module:
    """The model with every BatchNorm that only follows a convolution made part of it; its own parts are changed.

    Where the whole cannot be traced, because it checks or branches on what it is given, its parts are folded.
    """
    if not any(foldable(child) for child in model.children()):
        return model
    try:
        traced = fx.symbolic_trace(model)
    except Exception:  # as many kinds as there are models
        for name, child in model.named_children():
            setattr(model, name, _fold(child))
        return model
    _fold_traced(traced)
    return traced


def _fold_traced(traced: fx.GraphModule) -> None:
    modules = dict(traced.named_modules())
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or not isinstance(norm := modules[node.target], nn.BatchNorm2d):
            continue
        before = node.args[0] if node.args else None
        if not isinstance(before, fx.Node) or before.op != "call_module" or len(before.users) > 1:
            continue
        convolution = modules[str(before.target)]
        shared = sum(other.target == before.target for other in traced.graph.nodes) > 1
        if not isinstance(convolution, nn.Conv2d) or norm.running_mean is None or shared:
            continue
        parent, _, name = str(before.target).rpartition(".")
        setattr(traced.get_submodule(parent), name, fuse_conv_bn_eval(convolution, norm))
        node.replace_all_uses_with(before)
        traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()
    traced.recompile()
