"""Architectures only, no losses."""

from epslab.nets.convolution import ConvDecoder, ConvEncoder
from epslab.nets.perceptron import PerceptronDecoder, PerceptronEncoder, perceptron

__all__ = ["ConvDecoder", "ConvEncoder", "PerceptronDecoder", "PerceptronEncoder", "perceptron"]
