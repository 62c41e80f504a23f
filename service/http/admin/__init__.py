"""``/admin/v1``: what an operator changes while the service runs."""
