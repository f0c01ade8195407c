"""Images as tensors, by name."""
