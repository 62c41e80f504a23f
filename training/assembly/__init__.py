"""Configuration → objects: the only code that sees both."""
