"""Settings as YAML and JSON know them."""

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value in types that YAML and JSON know."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    if hasattr(value, "item"):
        return value.item()
    return str(value)
