"""How the studies of classifiers train each net at each scale, and how far they attack each data set."""

from dataclasses import replace

from epslab.recipes import COURSE, ClassifierRecipe, ResNet18Recipe, SmallCNNRecipe

NETS = {"small-cnn": "a small CNN", "resnet18": "a ResNet-18"}
"""The nets, and what a sentence calls them."""
QUICK: dict[str, ClassifierRecipe] = {
    "small-cnn": SmallCNNRecipe(width=8, epochs=8, batch_size=64, augment="none"),
    # Adam: a few dozen steps are too few for the momentum and the cycle of SGD.
    "resnet18": ResNet18Recipe(
        stem="cifar-pool", epochs=4, batch_size=32, optimiser="adam", learning_rate=1e-3, augment="none"
    ),
}
"""What is trained at quick scale: seconds each on digits."""
FULL: dict[str, ClassifierRecipe] = {
    "small-cnn": SmallCNNRecipe(epochs=10, augment="none"),
    "resnet18": replace(COURSE, augment="none"),
}
"""What is trained at full scale: the course's, or a small net for a CPU."""
SURROGATES: dict[str, dict[str, ClassifierRecipe]] = {
    "quick": QUICK,
    # Never the course's: what a surrogate teaches of the other net it has learnt after a few epochs.
    "full": {"small-cnn": FULL["small-cnn"], "resnet18": ResNet18Recipe(stem="cifar-pool", epochs=10, augment="none")},
}
"""How the other net is trained, which stands in for an unknown one, by scale."""
RADII = {"digits": "0.15", "mnist": "0.2", "fashion-mnist": "0.1", "cifar10": "2/255"}
"""How far attacks may change a pixel, by data set: far enough to fool an undefended net, not so far that none holds."""
OTHER_RADIUS = "2/255"
"""For other images."""
