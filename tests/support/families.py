"""A tiny random encoder of every family, as transformers configures it."""

from pathlib import Path

import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    CamembertConfig,
    Data2VecTextConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ErnieConfig,
    MegatronBertConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    RemBertConfig,
    RobertaConfig,
    RobertaPreLayerNormConfig,
    XLMRobertaConfig,
    XLMRobertaXLConfig,
)

from training.encoder import SharedEncoder

VOCAB_SIZE, HIDDEN_SIZE, MAX_POSITIONS = 300, 16, 48

_SHAPE = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": HIDDEN_SIZE,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": MAX_POSITIONS,
    "initializer_range": 0.3,  # the usual 0.02 makes every text's vector nearly the same
}
_MARKS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
_FAIRSEQ = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1}
_DEBERTA = {
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": ["c2p", "p2c"],
    "type_vocab_size": 0,
}

CONFIGS: dict[str, PretrainedConfig] = {
    config.model_type: config
    for config in (
        AlbertConfig(**_SHAPE, **_MARKS, embedding_size=8),
        BertConfig(**_SHAPE, **_MARKS),
        CamembertConfig(**_SHAPE, **_FAIRSEQ),
        Data2VecTextConfig(**_SHAPE, **_FAIRSEQ),
        DebertaConfig(**_SHAPE, **_MARKS, **_DEBERTA),
        DebertaV2Config(
            **_SHAPE, **_MARKS, **_DEBERTA, position_buckets=8, share_att_key=True, norm_rel_ebd="layer_norm"
        ),
        DistilBertConfig(
            vocab_size=VOCAB_SIZE,
            dim=HIDDEN_SIZE,
            n_layers=2,
            n_heads=2,
            hidden_dim=24,
            max_position_embeddings=MAX_POSITIONS,
            initializer_range=0.3,
            **_MARKS,
        ),
        ElectraConfig(**_SHAPE, **_MARKS, embedding_size=8),
        ErnieConfig(**_SHAPE, **_MARKS),
        MegatronBertConfig(**_SHAPE, **_MARKS),
        ModernBertConfig(
            **_SHAPE,
            **_MARKS,
            cls_token_id=2,
            sep_token_id=3,
            local_attention=8,  # far shorter than the sequences
            global_attn_every_n_layers=2,
        ),
        MPNetConfig(**_SHAPE, pad_token_id=1, bos_token_id=0, eos_token_id=2),
        RemBertConfig(**_SHAPE, **_MARKS, input_embedding_size=8, output_embedding_size=8),
        RobertaConfig(**_SHAPE, **_FAIRSEQ),
        RobertaPreLayerNormConfig(**_SHAPE, **_FAIRSEQ),
        XLMRobertaConfig(**_SHAPE, **_FAIRSEQ),
        XLMRobertaXLConfig(**_SHAPE, **_FAIRSEQ),
    )
}
"""By ``model_type``."""


def tiny_family(model_type: str) -> SharedEncoder:
    """An encoder in evaluation mode, with random weights that are the same at each call."""
    torch.manual_seed(7)
    config = CONFIGS[model_type]
    return SharedEncoder(AutoModel.from_config(config, dtype=torch.float32)).eval()


def write_family(folder: Path, model_type: str) -> Path:
    """Weights and configuration as transformers stores them; no tokenizer."""
    tiny_family(model_type).backbone.save_pretrained(folder)
    return folder
