"""What a user of a framework writes: a transformers classifier on padded batches."""

import os

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


class Classifier:
    """Texts → probabilities, on ``THREADS`` threads."""

    def __init__(self) -> None:
        torch.set_num_threads(int(os.environ["THREADS"]))
        folder = os.environ["MODEL_DIR"]
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForSequenceClassification.from_pretrained(folder).eval()

    @torch.inference_mode()
    def scores(self, texts: list[str]) -> torch.Tensor:
        """Shape ``(num_texts, num_labels)``."""
        batch = self._tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        probabilities: torch.Tensor = self._model(**batch).logits.softmax(-1)
        return probabilities
