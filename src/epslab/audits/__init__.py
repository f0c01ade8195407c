"""Audits: one model, many attacks, one folder with numbers, pictures and adversarial images."""
