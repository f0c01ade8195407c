"""Two data sets: points on two half circles, and images of stripes."""

import torch

from epslab import seeds
from epslab.data import ImageSet, PointSet, toys


def moons(split):
    """Points on the plane."""
    return PointSet(toys.two_moons(1000, generator=seeds.generator(0, "moons", split)))


def stripes(split):
    """Noisy images of 8×8 pixels with horizontal or vertical stripes."""
    draw = seeds.generator(0, "stripes", split)
    labels = torch.randint(2, (400,), generator=draw)
    horizontal = (torch.arange(8) % 2 * 150)[:, None].expand(8, 8)
    images = torch.where(labels[:, None, None] == 1, horizontal.T, horizontal)
    pixels = images + torch.randint(100, (400, 8, 8), generator=draw)
    return ImageSet(pixels[:, None].to(torch.uint8), labels, ("horizontal", "vertical"))
