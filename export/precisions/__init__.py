"""Reduced precisions of the encoder's graph: made, measured on dev, and kept only within a budget."""
