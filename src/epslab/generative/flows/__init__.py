"""Normalising flows: invertible maps with a known log-determinant, one idea per file."""
