"""Norm balls ‖x' − c‖_p ≤ r for p = ∞, 2, 1, and their meeting with a box: project, sample, ascend, measure.

The distance is measured in float64, and what is returned is inside by that measure whatever the points' own type: a
result is computed in float64, rounded to the points' type, and each coordinate that the rounding moved away from the
centre goes one representable number back. No coordinate is then further from the centre than the exact result's, so no
norm is larger.
"""

from epslab.geometry.ball import L1, L2, Ball, Linf
from epslab.geometry.norm import Box, Points, Projector, Radii

__all__ = ["L1", "L2", "Ball", "Box", "Linf", "Points", "Projector", "Radii"]
