"""How each kind of task reads inputs and answers: a reader and a decoder for each, put together once a task.

A reader says which inputs a task takes and which sequences it reads from the encoder. Tasks with equal
readers read the same sequences, so a request is planned by reader, not by task. A decoder makes the answer
from the head's logits.
"""
