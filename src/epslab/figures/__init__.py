"""Arrays in, figure out: drawing only, never computing. One style, made for a phone, for any colour vision.

Every function returns a ``matplotlib.figure.Figure`` that belongs to nobody else (no pyplot, no global state);
``png(figure)`` gives its bytes.
"""

from epslab.figures.adversarial import (
    accuracy_bars,
    accuracy_curves,
    examples,
    perturbations,
    transfer_matrix,
)
from epslab.figures.charts import bars, errors, lines, magnitudes, rate_distortion
from epslab.figures.classification import confusion, mistakes, reliability
from epslab.figures.costs import accuracy_costs
from epslab.figures.curves import curves, shown
from epslab.figures.images import image_grid, manifold, reconstructions, samples_through_time, strips
from epslab.figures.laws import contours, densities, latent_scatter
from epslab.runs import png, radius_text

__all__ = [
    "accuracy_bars",
    "accuracy_costs",
    "accuracy_curves",
    "bars",
    "confusion",
    "contours",
    "curves",
    "densities",
    "errors",
    "examples",
    "image_grid",
    "latent_scatter",
    "lines",
    "magnitudes",
    "manifold",
    "mistakes",
    "perturbations",
    "png",
    "radius_text",
    "rate_distortion",
    "reconstructions",
    "reliability",
    "samples_through_time",
    "shown",
    "strips",
    "transfer_matrix",
]
