"""What helps? Variants of one run and each task's own run, with equal budgets and seeds, side by side.

A study (``study.py``) says which runs there are; ``planning.py`` makes a configuration of each; ``pool.py``
trains them in processes of their own; a finished one leaves a small JSON result (``results.py``), from which
alone ``summary.py`` computes what ``report.py`` shows.
"""
