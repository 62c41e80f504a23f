"""API keys: who may ask, for which tasks, and how much."""
