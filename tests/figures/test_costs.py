import numpy as np

from epslab import figures


def test_each_curve_stands_at_its_own_costs() -> None:
    share = np.array([0.9, 0.5])
    drawing = figures.accuracy_costs(
        {"one": ([1.0, 10.0], (share, share - 0.1, share + 0.05)), "two": ([3.0], ([0.2], [0.1], [0.3]))},
        x_label="gradients",
    )
    (axes,) = drawing.axes
    one, two = axes.lines
    assert one.get_xydata().tolist() == [[1, 90], [10, 50]]
    assert two.get_xydata().tolist() == [[3, 20]]
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylim()[0]) == ("log", "gradients, log scale", 0)
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (40, 95)
    figures.png(drawing)
