"""Broken requests, byte by byte, against a running service: no fault of a client may be one of the server.

python -m loadtests.fuzz --bundle bundles/support_desk --cases 10000 --seed 1
"""
