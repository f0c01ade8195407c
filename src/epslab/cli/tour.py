"""Train, measure and ask every study at quick scale, on one page."""
