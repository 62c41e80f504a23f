"""Load tests: a mixed-traffic locustfile, and the speed measurements of ``python -m loadtests.bench``."""
