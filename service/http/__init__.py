"""The HTTP application: routing, errors and the one OpenAPI document."""
