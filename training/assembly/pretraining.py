"""Configuration → further pre-training on the train texts of all its tasks."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer
from torch import nn
from torch.optim import AdamW

from training.assembly.data import build_tasks, with_tags
from training.config.pretraining import PretrainingConfig
from training.config.schema import Config
from training.data import load_examples
from training.encoder import load_encoder, load_tokenizer_json
from training.errors import DataError, WeightsError
from training.masking import NO_WORD, MaskableText, Masking
from training.optimization import build_schedule
from training.pretraining import Pretrainer, PretrainingSettings, load_masked_lm, take_back
from training.processes import this_process
from training.tokenization import build_tokenizer

MASKS = ("[MASK]", "<mask>")
"""How tokenizers spell it."""
MAX_HELD_OUT = 500
SAVES_A_RUN = 10


def build_pretrainer(config: Config) -> Pretrainer:
    """Load texts and weights.

    Raises:
        TrainingError: For anything in data or weights that the user can correct.
    """
    settings = config.pretraining or PretrainingConfig()
    tokenizer_json = load_tokenizer_json(config.encoder.model)
    tokenizer = build_tokenizer(tokenizer_json, config.encoder.max_length)
    torch.manual_seed(config.seed)
    model = load_masked_lm(config.encoder.model)
    to_learn, aside = _split(texts_of(config), settings.held_out, config.seed)
    texts, held_out = maskable_texts(tokenizer, to_learn), maskable_texts(tokenizer, aside)
    if not texts:
        raise DataError("Further pre-training needs texts, and the tasks' train data has none.")
    masking = Masking(
        share=settings.mask_share,
        whole_word=settings.whole_word,
        mask_id=_mask_id(tokenizer, config.encoder.model),
        vocab_size=min(tokenizer.get_vocab_size(), int(model.config.vocab_size)),
        pad_id=int(model.config.pad_token_id or 0),
    )
    steps = settings.steps or max(1, round(settings.epochs * len(texts) / settings.batch_size))
    model.to(this_process().device)
    optimizer = _optimizer(model, settings)
    return Pretrainer(
        model=model,
        texts=texts,
        held_out=held_out,
        masking=masking,
        optimizer=optimizer,
        schedule=build_schedule(optimizer, name=settings.schedule, steps=steps, warmup=settings.warmup),
        settings=PretrainingSettings(
            steps=steps,
            batch_size=settings.batch_size,
            save_every=settings.save_every or max(1, steps // SAVES_A_RUN),
            max_grad_norm=settings.max_grad_norm,
            seed=config.seed,
        ),
    )


def texts_of(config: Config) -> list[str]:
    """Every distinct text of the tasks' train data, in their order.

    Raises:
        DataError: If a source does not fit its task.
    """
    config = with_tags(config)
    found: dict[str, None] = {}
    for name, task in build_tasks(config).items():
        for example in load_examples(task, config.tasks[name].data.train):
            found.update(dict.fromkeys(_texts_in(example.input)))
    return list(found)


def maskable_texts(tokenizer: Tokenizer, texts: list[str]) -> list[MaskableText]:
    """Tokenise texts; a long one becomes several, so that nothing of it is lost.

    One in which there is nothing to hide is left out.
    """
    parts = (part for each in tokenizer.encode_batch(texts) for part in (each, *each.overflowing))
    return [text for text in map(_maskable, parts) if max(text.words) > NO_WORD]


def save_encoder(pretrainer: Pretrainer, config: Config, folder: Path) -> None:
    """Write a transformers folder that ``encoder.model`` can name.

    Args:
        pretrainer: Whose encoder is written; the masked-LM head is left behind.
        config: Names the weights that it began from.
        folder: To fill.
    """
    backbone = load_encoder(config.encoder.model).backbone
    take_back(backbone, pretrainer.model)
    backbone.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(load_tokenizer_json(config.encoder.model), encoding="utf-8")


def _texts_in(given: Mapping[str, Any]) -> Iterator[str]:
    for name, value in given.items():
        if isinstance(value, str):
            yield value
        else:
            yield from [" ".join(value)] if name == "tokens" else value


def _maskable(encoding: Encoding) -> MaskableText:
    words = zip(encoding.word_ids, encoding.special_tokens_mask, strict=True)
    return MaskableText(
        input_ids=encoding.ids,
        words=[NO_WORD if word is None or special else word for word, special in words],
    )


def _split(texts: list[str], fraction: float, seed: int) -> tuple[list[str], list[str]]:
    """Texts to learn from and to hold out: whole ones, so that no part of a long one is seen by both."""
    size = max(0, min(round(fraction * len(texts)), MAX_HELD_OUT, len(texts) - 1))
    order = np.random.default_rng(seed).permutation(len(texts))
    return [texts[index] for index in np.sort(order[size:])], [
        texts[index] for index in np.sort(order[:size])
    ]


def _mask_id(tokenizer: Tokenizer, model: str) -> int:
    for spelling in MASKS:
        found = tokenizer.token_to_id(spelling)
        if found is not None:
            return int(found)
    raise WeightsError(f"The tokenizer of {model!r} has no mask: expected {' or '.join(MASKS)}.")


def _optimizer(model: nn.Module, settings: PretrainingConfig) -> AdamW:
    """Vectors are not decayed, as in fine-tuning."""
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=settings.learning_rate, fused=True)
