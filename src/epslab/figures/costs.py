"""What was reached for how much work."""

from collections.abc import Mapping

from matplotlib.figure import Figure

from epslab.figures.adversarial import Interval
from epslab.figures.style import COLOURS, Vector, array, figure, key, plain_ticks, styled


@styled
def accuracy_costs(curves: Mapping[str, tuple[Vector, Interval]], *, x_label: str) -> Figure:
    """Accuracy against what it cost to bring it down, each curve at costs of its own, with its confidence band.

    Args:
        curves: By name: the costs, all above 0, [n], and the accuracies in [0, 1] with their intervals at them.
        x_label: What the cost is; shown on a logarithmic scale.
    """
    drawing = figure(3.4)
    axes = drawing.subplots()
    # Markers of their own shape, so that curves are told apart without colour as well.
    for i, (name, (cost, parts)) in enumerate(curves.items()):
        at = array(cost)
        share, low, high = (100 * array(part) for part in parts)
        colour, marker = COLOURS[i % len(COLOURS)], "osD^vP"[i % 6]
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(at, share, color=colour, marker=marker, markersize=5, label=name)
    axes.set_xscale("log")
    plain_ticks(axes, "x")
    axes.set(xlabel=x_label, ylabel="accuracy, %")
    axes.set_ylim(bottom=0)
    key(drawing, axes)
    return drawing
