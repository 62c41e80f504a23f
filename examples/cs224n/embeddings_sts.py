"""Cosine similarity of the encoder's embeddings against STS: Spearman before and after fine-tuning.

    python -m examples.cs224n.embeddings_sts runs/cs224n_bi runs/cs224n_cross

The embeddings are those of ``/v1/embeddings``: mean-pooled token states. The similarity head takes no part.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from tokenizers import Tokenizer

from training.assembly.trained import load_model
from training.config.file import load_config
from training.data import load_examples
from training.encoder import SharedEncoder, load_encoder, load_tokenizer_json
from training.examples import Examples
from training.kinds.regression import Regression
from training.kinds.texts import Texts
from training.pooling import pool
from training.tasks import Task
from training.tokenization import build_tokenizer, encode_texts

BATCH_SIZE = 64
STS = Task(name="similarity", kind=Regression(texts=Texts(columns=("text_a", "text_b"))))


@torch.inference_mode()
def embed(encoder: SharedEncoder, tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit vectors of texts. Shape ``(num_texts, hidden_size)``."""
    vectors = []
    for start in range(0, len(texts), BATCH_SIZE):
        sequences = encode_texts(tokenizer, list(texts[start : start + BATCH_SIZE]))
        longest = max(len(sequence.input_ids) for sequence in sequences)
        ids = torch.full((len(sequences), longest), encoder.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence.input_ids)] = torch.tensor(sequence.input_ids)
            mask[row, : len(sequence.input_ids)] = 1
        vectors.append(pool("mean", encoder(ids, mask, torch.zeros_like(ids)), mask))
    return torch.nn.functional.normalize(torch.cat(vectors)).numpy()


def correlations(encoder: SharedEncoder, tokenizer: Tokenizer, examples: Examples) -> tuple[float, float]:
    """Spearman and Pearson of the cosine against the labels."""
    first, second = zip(*(example.input.values() for example in examples), strict=True)
    cosine = (embed(encoder, tokenizer, first) * embed(encoder, tokenizer, second)).sum(axis=1)
    labels = np.array([example.target for example in examples])
    return float(spearmanr(cosine, labels).statistic), float(pearsonr(cosine, labels).statistic)


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="*")
    options = parser.parse_args()
    config = load_config(Path(__file__).with_name("bi_encoder.yaml")).encoder
    data = Path(os.environ.get("CS224N_DATA", "../shared/data")) / "sts" / "dev.jsonl"
    examples = load_examples(STS, str(data))
    print("| encoder | STS dev Spearman | Pearson |\n|---|---|---|")
    tokenizer = build_tokenizer(load_tokenizer_json(config.model), config.max_length)
    rows = [(config.model, load_encoder(config.model).eval(), tokenizer)]
    for run in options.runs:
        trained = load_model(run)
        rows.append((str(run), trained.model.encoder, trained.tokenizer))
    for name, encoder, own_tokenizer in rows:
        spearman, pearson = correlations(encoder, own_tokenizer, examples)
        print(f"| {name} | {spearman:.4f} | {pearson:.4f} |")


if __name__ == "__main__":
    main()
