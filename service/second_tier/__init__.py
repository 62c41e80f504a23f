"""Encodings that replicas share, in Redis: behind the cache of the process, never in the way of a request."""
