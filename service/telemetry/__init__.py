"""What the service says of its requests to those who run it: a log line, a trace. Never what a text says."""
