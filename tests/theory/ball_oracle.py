"""The greatest value of a linear function on ball ∩ box, by a linear program (Linf, L1) or bisection (L2)."""

import numpy as np
from scipy.optimize import linprog


def greatest(g: np.ndarray, c: np.ndarray, norm: str, radius: float, low: float = 0.0, high: float = 1.0) -> float:
    """max <g, z> over ‖z − c‖ ≤ r, low ≤ z ≤ high."""
    d = len(c)
    if norm == "l2":
        return float(g @ by_bisection(g, c, radius, low, high))
    if norm == "linf":
        bounds = [(max(low, ci - radius), min(high, ci + radius)) for ci in c]
        solution = linprog(-g, bounds=bounds, method="highs")
        return float(g @ solution.x)
    # z = c + p − q with p, q ≥ 0 and Σ(p + q) ≤ r.
    bounds = [(0, high - ci) for ci in c] + [(0, ci - low) for ci in c]
    solution = linprog(np.r_[-g, g], A_ub=np.ones((1, 2 * d)), b_ub=[radius], bounds=bounds, method="highs")
    return float(g @ (c + solution.x[:d] - solution.x[d:]))


def by_bisection(g: np.ndarray, c: np.ndarray, radius: float, low: float, high: float) -> np.ndarray:
    """clip(c + λ·g) with ‖·‖₂ = r, by halving log λ; the corner where even that is inside."""

    def at(λ: float) -> np.ndarray:
        return np.clip(c + λ * g, low, high)

    small, large = -80.0, 80.0
    if np.linalg.norm(at(np.exp(large)) - c) <= radius:
        return at(np.exp(large))
    for _ in range(200):
        middle = (small + large) / 2
        if np.linalg.norm(at(np.exp(middle)) - c) <= radius:
            small = middle
        else:
            large = middle
    return at(np.exp(small))
