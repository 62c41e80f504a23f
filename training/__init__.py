"""Trains one shared encoder with a head per task, from a YAML file to a checkpoint folder."""
