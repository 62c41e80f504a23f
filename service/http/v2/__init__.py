"""Open Inference Protocol v2 over HTTP, as KServe and Triton speak it, with Triton's binary tensors.

Every task is a model; so are the bundle, which answers all its tasks at once, and the encoder's vectors.
"""
