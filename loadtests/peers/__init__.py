"""Beside what a user would pick instead: the same weights, texts and threads."""
