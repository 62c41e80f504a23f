"""Routes with the shapes of text-embeddings-inference, under ``/tei``."""
