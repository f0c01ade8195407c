"""Several samplers side by side, by several measures."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.figure import Figure

from epslab.figures.style import BLUE, QUIET, Vector, array, figure, styled
from epslab.figures.words import named, sentence
from epslab.runs import number

_GREY = "#b6bdc6"
_TITLE = 11  # letters a line of a panel's title has room for


@styled
def side_by_side(names: Sequence[str], measures: Mapping[str, Vector], *, yardsticks: int = 0) -> Figure:
    """A panel for each measure with a bar for each sampler, its value at the end; two panels in a row.

    Args:
        names: The samplers, from top to bottom, [n].
        measures: The samplers' values by the measure's name, [n] each.
        yardsticks: How many samplers at the end are yardsticks, whose bars are grey.
    """
    rows = -(-len(measures) // 2)
    drawing = figure(rows * (0.5 + 0.27 * len(names)))
    panels = drawing.subplots(rows, 2, sharey=True, squeeze=False)
    places = np.arange(len(names))
    colours = [BLUE if place < len(names) - yardsticks else _GREY for place in places]
    for axes, (measure, values) in zip(panels.flat, measures.items(), strict=False):
        axes.barh(places, array(values), color=colours, height=0.7)
        for place, value in zip(places, array(values).tolist(), strict=True):
            # Right of a bar to the left, too: on its left are the names.
            at = (max(value, 0.0), place)
            axes.annotate(number(value), at, (4, 0), textcoords="offset points", va="center", color=QUIET)
        axes.set_yticks(places, names)
        axes.set_xticks([])
        axes.spines[:].set_visible(False)
        axes.set(title=fill(measure, _TITLE))
        axes.margins(x=0.45, y=0.02)
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
    panels[0, 0].invert_yaxis()
    for axes in [*panels.flat][len(measures) :]:
        axes.set_axis_off()
    drawing.alt = sentence("Bars", *(f"{measure}: {named(names, values)}" for measure, values in measures.items()))
    return drawing
