"""A tiny random encoder of every family, as transformers configures it, with its kind of tokenizer."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
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

from export.bundle import export_bundle
from export.encoder import encoder_inputs, export_encoder
from export.manifest import EncoderEntry, EncoderGraph, Pooling, Precision, read_manifest
from export.masks import layout_of
from export.pooling import exported_poolings
from tests.support.tiny import MAX_LENGTH, SENTENCES, tiny_config, write_config
from training.assembly.trained import load_model
from training.commands.fit import fit
from training.encoder import SharedEncoder

VOCAB_SIZE, HIDDEN_SIZE, MAX_POSITIONS = 300, 16, 48
GRAPH = "encoder.onnx"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFamily:
    """A family's encoder and its graph with every pooling.

    Attributes:
        encoder: Of transformers, in evaluation mode.
        entry: Of a manifest.
        graph: The file.
        bundle: What the whole line made, or None if the encoder alone was exported.
    """

    encoder: SharedEncoder
    entry: EncoderEntry
    graph: Path
    bundle: Path | None = None


def export_family(folder: Path, model_type: str) -> None:
    """Export an untrained encoder alone."""
    encoder = tiny_family(model_type)
    export_encoder(encoder, folder / GRAPH, _every_pooling(encoder), MAX_LENGTH)


def build_family(folder: Path, weights: Path, *, has_pooler: bool, **encoder: Any) -> None:
    """Train two steps, export and verify, with a task for every pooling and one on pairs.

    Args:
        folder: For run and bundle.
        weights: A transformers folder.
        has_pooler: Whether the first task reads the encoder's own pooling.
        encoder: Overrides the configuration's section.
    """
    raw = tiny_config(folder, weights, rows=16)
    raw["encoder"] |= encoder
    poolings = {
        "sentiment": "pooler" if has_pooler else "cls",
        "topic": "max",
        "stars": "layer_mix",
        "length": "layer_mix_cls",
        "paraphrase": "mean",
    }
    raw["tasks"] = {name: raw["tasks"][name] | {"pooling": pooling} for name, pooling in poolings.items()}
    raw["training"] = {"steps": 2, "batch_size": 4}
    config = write_config(folder / "config.yaml", raw)
    fit(config, folder / "run", resume=False, console=Console(quiet=True))
    export_bundle(folder / "run", folder / "bundle", version="1")


def load_family(folder: Path, model_type: str) -> ExportedFamily:
    """What one of the two above has made in a folder."""
    bundle = folder / "bundle"
    if bundle.is_dir():
        entry = read_manifest(bundle).encoder
        encoder = load_model(folder / "run").model.encoder
        graph = bundle / entry.graphs[Precision.FP32].file
        return ExportedFamily(encoder=encoder, entry=entry, graph=graph, bundle=bundle)
    encoder = tiny_family(model_type)
    entry = EncoderEntry(
        model="tiny",
        model_type=model_type,
        fingerprint="f" * 64,
        hidden_size=encoder.hidden_size,
        num_layers=encoder.num_layers,
        max_length=MAX_LENGTH,
        position_offset=encoder.position_offset,
        pad_token_id=encoder.pad_token_id,
        inputs=encoder_inputs(encoder),
        layout=layout_of(encoder.family),
        poolings=_every_pooling(encoder),
        default_pooling=Pooling.MEAN,
        graphs={Precision.FP32: EncoderGraph(file=GRAPH, tolerance=1e-4)},
    )
    return ExportedFamily(encoder=encoder, entry=entry, graph=folder / GRAPH)


def write_family(folder: Path, model_type: str) -> Path:
    """A folder as transformers stores it: configuration, weights and the family's tokenizer."""
    tiny_family(model_type).backbone.save_pretrained(folder)
    TOKENIZERS[model_type]().save(str(folder / "tokenizer.json"))
    return folder


def word_piece() -> Tokenizer:
    """BERT's: lower case, no accents; ``[CLS] a [SEP] b [SEP]``, the second text of type 1."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(SENTENCES.split("\n"), trainer)
    return _with_bert_template(tokenizer)


def byte_level_bpe() -> Tokenizer:
    """RoBERTa's: bytes, case kept; ``<s> a </s></s> b </s>``, all of type 0."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES.split("\n"), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", tokenizer.token_to_id("</s>")), ("<s>", tokenizer.token_to_id("<s>")), add_prefix_space=False
    )
    return tokenizer


def multilingual_unigram() -> Tokenizer:
    """XLM-R's: SentencePiece with spaces as characters, case kept; RoBERTa's way with pairs."""
    tokenizer = _unigram(["<s>", "<pad>", "</s>", "<unk>"], unknown="<unk>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")],
    )
    return tokenizer


def lowercase_unigram() -> Tokenizer:
    """ALBERT's and DeBERTa's: SentencePiece, BERT's way with pairs."""
    tokenizer = _unigram(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], unknown="[UNK]")
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    return _with_bert_template(tokenizer)


TOKENIZERS = {
    "albert": lowercase_unigram,
    "bert": word_piece,
    "deberta-v2": lowercase_unigram,
    "distilbert": word_piece,
    "electra": word_piece,
    "modernbert": word_piece,
    "roberta": byte_level_bpe,
    "xlm-roberta": multilingual_unigram,
}
"""By ``model_type``."""


def _every_pooling(encoder: SharedEncoder) -> tuple[Pooling, ...]:
    poolings = exported_poolings(Pooling)
    return poolings if encoder.has_pooler else tuple(each for each in poolings if each is not Pooling.POOLER)


def _unigram(special: list[str], *, unknown: str) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=special, unk_token=unknown, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES.split("\n"), trainer)
    return tokenizer


def _with_bert_template(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer
