"""Where data sets live on this computer."""

import os
from pathlib import Path

import platformdirs


def root(root: str | Path | None = None) -> Path:
    """The folder that holds all data sets: the argument, else ``EPSLAB_DATA``, else the platform's cache folder."""
    chosen = root or os.environ.get("EPSLAB_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("epslab")
