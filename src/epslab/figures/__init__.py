"""Arrays in, figure out: they only draw, never compute. One style, made for phones and for any colour vision.

Every function returns a ``matplotlib.figure.Figure`` without pyplot or other global state;
``png(figure)`` gives its bytes.
"""

from epslab.figures.adversarial import (
    accuracy_bars,
    accuracy_costs,
    accuracy_curves,
    examples,
    perturbations,
    transfer_matrix,
)
from epslab.figures.charts import bars, errors, lines, rate_distortion
from epslab.figures.classification import confusion, mistakes, reliability
from epslab.figures.curves import curves, overlaid, shown
from epslab.figures.fields import vector_fields
from epslab.figures.images import image_grid, manifold, reconstructions, strips
from epslab.figures.laws import contours, densities, latent_scatter
from epslab.figures.planes import planes
from epslab.figures.samples import side_by_side
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
    "manifold",
    "mistakes",
    "overlaid",
    "perturbations",
    "planes",
    "png",
    "radius_text",
    "rate_distortion",
    "reconstructions",
    "reliability",
    "shown",
    "side_by_side",
    "strips",
    "transfer_matrix",
    "vector_fields",
]
