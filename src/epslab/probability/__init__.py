"""Likelihoods, divergences and bounds: per example, in nats, summed over dimensions."""
