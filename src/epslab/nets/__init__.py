"""Architectures only, no losses."""

from epslab.nets.adversarial import ConvCritic, ConvGenerator, PerceptronCritic, PerceptronGenerator
from epslab.nets.codes import conv_pair, linear_pair, perceptron_pair
from epslab.nets.convolution import ConvDecoder, ConvEncoder
from epslab.nets.perceptron import PerceptronDecoder, PerceptronEncoder, perceptron
from epslab.nets.pretrained import load_pretrained
from epslab.nets.residual import resnet18
from epslab.nets.small import small_cnn
from epslab.nets.time import TimePerceptron
from epslab.nets.unet import UNet

__all__ = [
    "ConvCritic",
    "ConvDecoder",
    "ConvEncoder",
    "ConvGenerator",
    "PerceptronCritic",
    "PerceptronDecoder",
    "PerceptronEncoder",
    "PerceptronGenerator",
    "TimePerceptron",
    "UNet",
    "conv_pair",
    "linear_pair",
    "load_pretrained",
    "perceptron",
    "perceptron_pair",
    "resnet18",
    "small_cnn",
]
