"""The shared encoder: a transformers model that gives token states."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from training.batches import Batch
from training.encoding import LAST_HIDDEN_STATE, Encoder, EncoderOutput
from training.errors import WeightsError
from training.families import FAMILIES, Family
from training.pooling import LAYERED, pool
from training.weights import locate_weights


class SharedEncoder(Encoder):
    """Token ids → token states, by the transformers model inside.

    Args:
        backbone: An encoder of transformers, in float32.

    Raises:
        WeightsError: If its family is not one of ``FAMILIES``.
    """

    def __init__(self, backbone: PreTrainedModel) -> None:
        super().__init__()
        self.backbone = backbone
        self.family = family_of(backbone.config)

    @property
    def config(self) -> PretrainedConfig:
        """The backbone's configuration."""
        return self.backbone.config

    @property
    def hidden_size(self) -> int:
        """Width of the token states."""
        return int(self.config.hidden_size)

    @property
    def num_layers(self) -> int:
        """Transformer layers; ``hidden_states`` has one entry more, of the embeddings."""
        return int(self.config.num_hidden_layers)

    @property
    def pad_token_id(self) -> int:
        """Id written into padding; masked everywhere."""
        return int(self.config.pad_token_id or 0)

    @property
    def uses_token_types(self) -> bool:
        """Whether the second text of a pair is marked by ``token_type_ids``."""
        return (getattr(self.config, "type_vocab_size", 0) or 0) > 1

    @property
    def position_offset(self) -> int:
        """``position_ids`` of a sequence's first token."""
        return self.pad_token_id + 1 if self.family.positions_follow_padding else 0

    @property
    def max_positions(self) -> int:
        """Tokens of the longest sequence that has a position for each."""
        return int(self.config.max_position_embeddings) - self.position_offset

    @property
    def has_pooler(self) -> bool:
        """Whether the family has a pooling of its own."""
        return getattr(self.backbone, "pooler", None) is not None

    def choose_attention(self, device: torch.device) -> None:
        """As ``Encoder`` says.

        On the CPU that is the plain one: the fused kernel's backward pass is slow there
        (``loadtests/attention.py``).
        """
        if device.type == "cpu":
            self.backbone.set_attn_implementation("eager")

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        *,
        with_hidden_states: bool = False,
    ) -> EncoderOutput:
        """Encode padded sequences.

        Args:
            input_ids: Shape ``(num_sequences, seq_len)``.
            attention_mask: 1 for tokens, 0 for padding. Same shape.
            token_type_ids: Same shape; ignored by encoders without token types.
            with_hidden_states: Whether every layer's states are kept.
        """
        # Left to itself, RoBERTa counts only tokens that are not `<pad>`: a text that spells that token
        # would be encoded differently in packed rows, which number every token.
        start = self.position_offset
        position_ids = torch.arange(start, start + input_ids.shape[1], device=input_ids.device).unsqueeze(0)
        types = {"token_type_ids": token_type_ids} if self.uses_token_types else {}
        output = self.backbone(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            output_hidden_states=with_hidden_states,
            **types,
        )
        return EncoderOutput(
            last_hidden_state=output.last_hidden_state,
            pooler_output=getattr(output, "pooler_output", None),
            hidden_states=tuple(output.hidden_states) if with_hidden_states else None,
        )

    def digest(self) -> str:
        """Hash of configuration and weights as they are now."""
        found = hashlib.sha256(self.config.to_json_string().encode())
        for name, tensor in sorted(self.state_dict().items()):
            found.update(name.encode())
            found.update(tensor.detach().cpu().contiguous().numpy())
        return found.hexdigest()

    def read(self, batch: Batch, readings: Sequence[str]) -> dict[str, Tensor]:
        """As ``Encoder`` says, by one forward pass."""
        output = self(
            batch.input_ids,
            batch.attention_mask,
            batch.token_type_ids,
            with_hidden_states=any(reading in LAYERED for reading in readings),
        )
        return {
            reading: output.last_hidden_state
            if reading == LAST_HIDDEN_STATE
            else pool(reading, output, batch.attention_mask)
            for reading in readings
        }

    def faults(self, *, max_length: int, poolings: Iterable[str]) -> list[str]:
        """Too few positions, or no pooler."""
        faults = []
        if max_length > self.max_positions:
            faults.append(
                f"encoder.max_length: {max_length}, but the encoder has {self.max_positions} positions"
            )
        if "pooler" in poolings and not self.has_pooler:
            faults.append(
                f"pooling: 'pooler', but encoders of family {self.config.model_type!r} have none. "
                "Use cls, mean or max."
            )
        return faults

    def save_description(self, folder: Path) -> None:
        """Write ``config.json``."""
        self.config.save_pretrained(folder)


def family_of(config: PretrainedConfig) -> Family:
    """The family that a configuration belongs to.

    Raises:
        WeightsError: If it is not a known one; the message names those.
    """
    family = FAMILIES.get(config.model_type)
    if family is None:
        raise WeightsError(
            f"Encoders of family {config.model_type!r} are not supported. These are: {', '.join(FAMILIES)}."
        )
    return family


DROPOUT_NAMES = ("hidden_dropout_prob", "dropout", "embedding_dropout", "mlp_dropout")
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
    with quiet_transformers():
        try:
            folder = locate_weights(model)
            config = AutoConfig.from_pretrained(folder)
            family_of(config)
            _set_dropout(config, DROPOUT_NAMES, dropout)
            _set_dropout(config, ATTENTION_DROPOUT_NAMES, attention_dropout)
            backbone = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32)
        except (OSError, ValueError, SafetensorError) as error:
            raise WeightsError(f"Encoder {model!r} cannot be loaded: {error}") from error
    return SharedEncoder(backbone)


def build_encoder(
    config_folder: Path, *, dropout: float | None = None, attention_dropout: float | None = None
) -> SharedEncoder:
    """Build an encoder with untrained weights from a folder with its ``config.json``.

    Args:
        config_folder: Of the file.
        dropout: As in ``load_encoder``.
        attention_dropout: Likewise.
    """
    config = AutoConfig.from_pretrained(config_folder)
    _set_dropout(config, DROPOUT_NAMES, dropout)
    _set_dropout(config, ATTENTION_DROPOUT_NAMES, attention_dropout)
    backbone = AutoModel.from_config(config, dtype=torch.float32)
    return SharedEncoder(backbone)


def _set_dropout(config: PretrainedConfig, names: tuple[str, ...], probability: float | None) -> None:
    for name in names:
        if probability is not None and hasattr(config, name):
            setattr(config, name, probability)


def load_tokenizer_json(model: str) -> str:
    """The encoder's fast tokenizer as the text of a ``tokenizer.json``.

    Raises:
        WeightsError: If there is no fast tokenizer, or one without a vocabulary.
    """
    source = locate_weights(model)
    local = Path(source) / "tokenizer.json"
    if local.is_file():
        return local.read_text(encoding="utf-8")
    with quiet_transformers():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError, ImportError) as error:
            raise WeightsError(f"Tokenizer of {model!r} cannot be loaded: {error}") from error
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise WeightsError(f"{model!r} has no fast tokenizer, which serving needs")
    # Of a folder without a vocabulary, transformers makes a tokenizer that knows special tokens alone.
    if backend.get_vocab_size() <= len(tokenizer.all_special_tokens):
        raise WeightsError(f"{model!r} has no vocabulary. Expected a tokenizer.json beside the weights.")
    return str(backend.to_str())


class quiet_transformers:  # noqa: N801 - reads as a verb in `with`
    """Keeps loading bars and key reports of transformers off the terminal; errors still raise."""

    def __enter__(self) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
        self._verbosity = transformers_logging.get_verbosity()
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()

    def __exit__(self, *_: object) -> None:
        transformers_logging.set_verbosity(self._verbosity)
