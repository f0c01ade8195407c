"""What a trained model is worth, with standard errors."""
