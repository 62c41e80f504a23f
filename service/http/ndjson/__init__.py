"""Bulk prediction as a stream: an input a line, an answer a line, in order, in bounded memory.

body ─▶ lines ─▶ buffer (bytes bounded) ─▶ windows, a few in flight ─▶ engine ─▶ answers in order

Every arrow waits for the next one: a client that reads slowly is read slowly.
"""
