"""The classifier under test; `epslab attack model:classifier` imports it. Put your own here.

`python model.py` trains it on scikit-learn's digits: it stands for your training, or for a download of your weights.
"""

import shutil
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from epslab.classifiers import ClassifierObjective
from epslab.data import load
from epslab.nets import small_cnn
from epslab.training import fit

WEIGHTS = Path(__file__).with_name("weights.safetensors")


def untrained() -> nn.Module:
    return small_cnn((1, 8, 8), classes=10, width=8)


def classifier() -> nn.Module:
    """Images in [0, 1] to logits. Normalisation, where there is one, is a layer of the model."""
    net = untrained()
    net.load_state_dict(load_file(WEIGHTS))
    return net.eval()


def main() -> None:
    net = untrained()
    train, validation = load("digits", "train").split([1300, 137], seed=0)
    run = fit(net, ClassifierObjective(net), train, validation, out="runs/training", epochs=4, overwrite=True)
    shutil.copy(run.weights, WEIGHTS)


if __name__ == "__main__":
    main()
