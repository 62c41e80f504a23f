"""The models that are loaded, what they share, and which of them answers a request."""
