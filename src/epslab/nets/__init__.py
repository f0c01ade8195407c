"""Architectures only, no losses."""

from epslab.nets.convolution import ConvDecoder, ConvEncoder
from epslab.nets.perceptron import PerceptronDecoder, PerceptronEncoder, perceptron
from epslab.nets.small import small_cnn

__all__ = ["ConvDecoder", "ConvEncoder", "PerceptronDecoder", "PerceptronEncoder", "perceptron", "small_cnn"]
