"""The pictures of a trained coupling flow."""

from itertools import pairwise

import torch
from torch import Tensor

from epslab import figures
from epslab.data import ImageSet, PointSet
from epslab.generative.flows.coupling_flow import CouplingFlow
from epslab.nets.modes import evaluating
from epslab.runs import Run
from epslab.seeds import of_indices

_WALK = 9  # images along a path
_POINTS = 2000


def draw_all(flow: CouplingFlow, run: Run, examples: ImageSet | PointSet, seed: int) -> None:
    """Paths between images through z; of points in the plane, where they lie and what the flow makes of them."""
    if isinstance(examples, ImageSet):
        run.show(
            "interpolations",
            figures.strips(
                interpolations(flow, examples[:8], seed).cpu(), columns=_WALK, ends="two test images at the ends"
            ),
            "Paths between the codes z of two test images that keep the length a draw from N(0, I) has, decoded.",
        )
    elif flow.dimensions == 2:
        points = examples[:_POINTS].points
        with torch.no_grad(), evaluating(flow):
            z, _ = flow(points.to(next(flow.parameters())))
        run.show(
            "codes",
            figures.planes({"test points x": points, "their codes z": z.cpu()}, alt="Codes should look like N(0, I)."),
            "Test points, and the z that the flow maps them to: N(0, I), if the model fits.",
        )


def interpolations(flow: CouplingFlow, images: ImageSet, seed: int) -> Tensor:
    """Decoded arcs between the codes of consecutive pairs of images: [pairs·9 c h w], one pair in a row.

    On the arc from z_1 to z_2, cos(a)·z_1 + sin(a)·z_2 for a from 0 to π/2, points have the distribution of a draw from
    N(0, I) where the ends are two of them; on the straight line those in the middle would be too short.
    """
    with torch.no_grad(), evaluating(flow):
        x = images.images.to(next(flow.parameters()).device)
        z = flow.encode(x, seeds=of_indices(seed, torch.arange(len(x)), "interpolations").to(x.device))
        a = torch.linspace(0, torch.pi / 2, _WALK).to(z)[:, None]
        paths = [a.cos() * z_1 + a.sin() * z_2 for z_1, z_2 in list(pairwise(z))[::2]]
        return flow.decode(torch.cat(paths))
