"""Answer one question with a figure and a table."""
