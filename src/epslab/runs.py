"""One folder per run: settings, metrics, checkpoints, weights, provenance."""
