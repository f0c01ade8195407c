"""Architectures only, no losses."""
