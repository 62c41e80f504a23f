"""The encoder's identity: its weights, its configuration, its tokenizer and ``max_length``.

Not the graph file: one more pooling output, or another exporter version, keeps the identity and with it every
cached vector and every head trained on it.
"""

import hashlib
import json
from typing import Any

from transformers import PretrainedConfig

from training.encoder import SharedEncoder

INCIDENTAL = {"_name_or_path", "architectures", "dtype", "torch_dtype", "transformers_version", "use_cache"}
"""Configuration keys that change neither weights nor arithmetic. Nor do dropout's, named by each family."""

KNOWN = frozenset(
    """
    activation add_cross_attention attention_bias bos_token_id chunk_size_feed_forward classifier_activation
    classifier_bias classifier_pooling cls_token_id decoder_bias deterministic_flash_attn dim embedding_size
    eos_token_id hidden_act hidden_activation hidden_dim hidden_size id2label initializer_cutoff_factor
    initializer_range inner_group_num input_embedding_size intermediate_size is_decoder is_encoder_decoder
    label2id layer_norm_eps layer_types legacy local_attention max_position_embeddings max_relative_positions
    mlp_bias model_type n_heads n_layers norm_bias norm_eps num_attention_heads num_hidden_groups
    num_hidden_layers output_attentions output_embedding_size output_hidden_states pad_token_id
    pooler_hidden_act pooler_hidden_size pos_att_type position_biased_input problem_type relative_attention
    relative_attention_num_buckets return_dict rope_parameters sep_token_id sinusoidal_pos_embds
    sparse_pred_ignore_index sparse_prediction summary_activation summary_type summary_use_proj
    task_type_vocab_size tie_word_embeddings type_vocab_size use_task_id vocab_size
    """.split()  # noqa: SIM905 - a page of quotation marks otherwise
)
"""Keys that the families' classes had in transformers 5.24, which identify bundles: it stays as it is.
Of a key that a later release adds, the default is what was computed before, and does not count."""


def fingerprint(encoder: SharedEncoder, tokenizer_json: str, max_length: int) -> str:
    """Hash an encoder.

    Args:
        encoder: With its weights.
        tokenizer_json: As saved with the checkpoint, its truncation included.
        max_length: Tokens a sequence keeps.

    Returns:
        sha256 as 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    parts = {
        "config": json.dumps(identity(encoder.config), sort_keys=True, default=str),
        "tokenizer": json.dumps(json.loads(tokenizer_json), sort_keys=True),
        "max_length": str(max_length),
    }
    for name, text in parts.items():
        _add(digest, name, text.encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        contiguous = tensor.detach().cpu().contiguous()
        _add(digest, f"{name} {contiguous.dtype} {tuple(contiguous.shape)}", contiguous.numpy().tobytes())
    return digest.hexdigest()


def identity(config: PretrainedConfig) -> dict[str, Any]:
    """What of a configuration tells one encoder from another."""
    defaults = type(config)().to_dict()
    return {
        key: value
        for key, value in config.to_dict().items()
        if key not in INCIDENTAL
        and "dropout" not in key
        and (key in KNOWN or key not in defaults or value != defaults[key])
    }


def _add(digest: "hashlib._Hash", name: str, content: bytes) -> None:
    """Add a part with its name and length, so that no two lists of parts hash alike."""
    digest.update(f"{name}\0{len(content)}\0".encode())
    digest.update(content)
