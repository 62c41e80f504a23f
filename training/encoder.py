"""The shared encoder: a transformers model that gives token states."""

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from training.errors import WeightsError
from training.weights import locate_weights


class SharedEncoder(nn.Module):
    """Token ids → token states, by the transformers model inside.

    Args:
        backbone: An encoder of transformers, in float32.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone

    @property
    def config(self) -> PretrainedConfig:
        """The backbone's configuration."""
        return self.backbone.config

    @property
    def hidden_size(self) -> int:
        """Width of the token states."""
        return int(self.config.hidden_size)

    @property
    def pad_token_id(self) -> int:
        """Id written into padding; masked everywhere."""
        return int(self.config.pad_token_id or 0)

    @property
    def uses_token_types(self) -> bool:
        """Whether the second text of a pair is marked by ``token_type_ids``."""
        return getattr(self.config, "type_vocab_size", 0) > 1

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Encode padded sequences.

        Args:
            input_ids: Shape ``(num_sequences, seq_len)``.
            attention_mask: 1 for tokens, 0 for padding. Same shape.
            token_type_ids: Same shape; ignored by encoders without token types.

        Returns:
            ``last_hidden_state``. Shape ``(num_sequences, seq_len, hidden_size)``.
        """
        types = {"token_type_ids": token_type_ids} if self.uses_token_types else {}
        output = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **types)
        states: Tensor = output.last_hidden_state
        return states


DROPOUT_NAMES = ("hidden_dropout_prob", "dropout")
ATTENTION_DROPOUT_NAMES = ("attention_probs_dropout_prob", "attention_dropout")
"""What the families call them in their configurations."""


def load_encoder(
    model: str, *, dropout: float | None = None, attention_dropout: float | None = None
) -> SharedEncoder:
    """Load pretrained weights, from a folder, a package or the hub.

    Args:
        model: Where the weights are.
        dropout: Of the layers; the weights' own configuration's if None.
        attention_dropout: Of the attention weights; likewise.

    Raises:
        WeightsError: If they cannot be found or loaded.
    """
    with _quiet_transformers():
        try:
            folder = locate_weights(model)
            config = AutoConfig.from_pretrained(folder)
            _set_dropout(config, DROPOUT_NAMES, dropout)
            _set_dropout(config, ATTENTION_DROPOUT_NAMES, attention_dropout)
            backbone = AutoModel.from_pretrained(
                folder, config=config, dtype=torch.float32, attn_implementation="sdpa"
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise WeightsError(f"Encoder {model!r} cannot be loaded: {error}") from error
    return SharedEncoder(backbone)


def _set_dropout(config: PretrainedConfig, names: tuple[str, ...], probability: float | None) -> None:
    for name in names:
        if probability is not None and hasattr(config, name):
            setattr(config, name, probability)


def build_encoder(config_folder: Path) -> SharedEncoder:
    """Build an encoder with untrained weights from a folder with its ``config.json``."""
    config = AutoConfig.from_pretrained(config_folder)
    backbone = AutoModel.from_config(config, dtype=torch.float32, attn_implementation="sdpa")
    return SharedEncoder(backbone)


def load_tokenizer_json(model: str) -> str:
    """The encoder's fast tokenizer as the text of a ``tokenizer.json``.

    Raises:
        WeightsError: If there is no fast tokenizer.
    """
    source = locate_weights(model)
    local = Path(source) / "tokenizer.json"
    if local.is_file():
        return local.read_text(encoding="utf-8")
    with _quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise WeightsError(f"Tokenizer of {model!r} cannot be loaded: {error}") from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise WeightsError(f"{model!r} has no fast tokenizer, which serving needs")
    return str(backend.to_str())


class _quiet_transformers:  # noqa: N801 - reads as a verb in `with`
    """Keeps loading bars and key reports of transformers off the terminal; errors still raise."""

    def __enter__(self) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._verbosity)
