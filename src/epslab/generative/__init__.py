"""Generative models, one idea a file."""
