"""Turns a trained checkpoint into a bundle: one packed encoder graph and small head graphs in ONNX.

This file imports nothing: ``service`` imports ``export.manifest``, and would run it too.
"""
