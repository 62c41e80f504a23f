"""The YAML file: its schema, reading it, and every mistake in it as a sentence.

``schema`` is the whole file; ``tasks``, ``heads``, ``losses`` and ``optimization`` are its sections.
``file`` reads one, and the ``*faults`` modules say what is wrong with it, all at once.
"""
