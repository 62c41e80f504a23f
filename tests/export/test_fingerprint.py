import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig

from export.entries import encoder_entry
from export.fingerprint import fingerprint, identity
from export.manifest import Manifest
from tests.support.tiny import write_tiny_encoder
from training.assembly.trained import TrainedModel, load_model
from training.encoder import SharedEncoder, load_encoder, load_tokenizer_json


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> SharedEncoder:
    return load_encoder(str(tiny_encoder))


@pytest.fixture(scope="module")
def tokenizer_json(tiny_encoder: Path) -> str:
    return load_tokenizer_json(str(tiny_encoder))


@given(data=st.data())
def test_any_changed_weight_is_another_encoder(
    encoder: SharedEncoder, tokenizer_json: str, data: st.DataObject
) -> None:
    before = fingerprint(encoder, tokenizer_json, 24)
    parameter = data.draw(st.sampled_from(list(encoder.parameters())), label="parameter")
    index = data.draw(st.integers(0, parameter.numel() - 1), label="index")
    flat = parameter.detach().view(-1)
    kept = flat[index].clone()
    flat[index] = torch.nextafter(kept, torch.tensor(torch.inf))
    try:
        assert fingerprint(encoder, tokenizer_json, 24) != before
    finally:
        flat[index] = kept
    assert fingerprint(encoder, tokenizer_json, 24) == before


def test_another_max_length_is_another_encoder(encoder: SharedEncoder, tokenizer_json: str) -> None:
    assert fingerprint(encoder, tokenizer_json, 24) != fingerprint(encoder, tokenizer_json, 25)


def test_another_tokenizer_is_another_encoder(encoder: SharedEncoder, tokenizer_json: str) -> None:
    changed = json.loads(tokenizer_json)
    changed["normalizer"]["lowercase"] = False
    assert fingerprint(encoder, json.dumps(changed), 24) != fingerprint(encoder, tokenizer_json, 24)


def test_the_layout_of_the_tokenizers_file_does_not_matter(
    encoder: SharedEncoder, tokenizer_json: str
) -> None:
    pretty = json.dumps(json.loads(tokenizer_json), indent=4)
    assert fingerprint(encoder, pretty, 24) == fingerprint(encoder, tokenizer_json, 24)


@pytest.mark.parametrize(("key", "value"), [("hidden_act", "relu"), ("layer_norm_eps", 1e-5)])
def test_another_arithmetic_with_the_same_weights_is_another_encoder(
    tiny_encoder: Path, tokenizer_json: str, key: str, value: object
) -> None:
    encoder = load_encoder(str(tiny_encoder))
    before = fingerprint(encoder, tokenizer_json, 24)
    setattr(encoder.config, key, value)
    assert fingerprint(encoder, tokenizer_json, 24) != before


class LaterBertConfig(BertConfig):
    """As a later release of transformers might have it."""

    def __init__(self, brand_new: str = "as ever", **given: Any) -> None:
        super().__init__(**given)
        self.brand_new = brand_new


def test_a_key_that_a_later_release_adds_counts_only_where_it_is_set() -> None:
    given = {"num_hidden_layers": 3, "of_the_checkpoint": 1}
    assert identity(LaterBertConfig(**given)) == identity(BertConfig(**given))
    assert identity(LaterBertConfig(brand_new="otherwise"))["brand_new"] == "otherwise"
    assert identity(BertConfig(**given))["of_the_checkpoint"] == 1


def test_the_keys_that_bundles_are_identified_by_stay() -> None:
    """One that is missing here would give every encoder of the family another fingerprint."""
    assert identity(BertConfig()).keys() == {
        "add_cross_attention", "bos_token_id", "chunk_size_feed_forward", "eos_token_id", "hidden_act",
        "hidden_size", "id2label", "initializer_range", "intermediate_size", "is_decoder",
        "is_encoder_decoder", "label2id", "layer_norm_eps", "max_position_embeddings", "model_type",
        "num_attention_heads", "num_hidden_layers", "output_attentions", "output_hidden_states",
        "pad_token_id", "problem_type", "return_dict", "tie_word_embeddings", "type_vocab_size", "vocab_size",
    }  # fmt: skip


def test_dropout_is_no_part_of_the_identity(
    tiny_encoder: Path, tokenizer_json: str, encoder: SharedEncoder
) -> None:
    """It acts in training alone: the vectors of a frozen encoder are the same with any."""
    other = load_encoder(str(tiny_encoder), dropout=0.4, attention_dropout=0.0)
    assert fingerprint(other, tokenizer_json, 24) == fingerprint(encoder, tokenizer_json, 24)


def test_where_the_weights_lie_does_not_matter(
    tmp_path: Path, tokenizer_json: str, encoder: SharedEncoder
) -> None:
    twin = load_encoder(str(write_tiny_encoder(tmp_path / "elsewhere")))
    assert fingerprint(twin, tokenizer_json, 24) == fingerprint(encoder, tokenizer_json, 24)


def test_a_checkpoint_loaded_again_is_the_same_encoder(
    trained: TrainedModel, tiny_run: Path, manifest: Manifest
) -> None:
    again = load_model(tiny_run)
    assert fingerprint(again.model.encoder, again.tokenizer.to_str(), 24) == manifest.encoder.fingerprint


def test_an_untouched_encoder_keeps_its_identity_through_saving_and_loading(
    tmp_path: Path, encoder: SharedEncoder, tokenizer_json: str
) -> None:
    encoder.backbone.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_text(tokenizer_json)
    again = load_encoder(str(tmp_path))
    assert fingerprint(again, load_tokenizer_json(str(tmp_path)), 24) == fingerprint(
        encoder, tokenizer_json, 24
    )


def test_heads_and_their_poolings_are_no_part_of_the_identity(
    trained: TrainedModel, manifest: Manifest
) -> None:
    entry = encoder_entry(trained, trained.tokenizer.to_str(), file="encoder.onnx", tolerance=1e-4)
    assert entry.fingerprint == manifest.encoder.fingerprint
    fewer = entry.model_copy(update={"poolings": entry.poolings[:1]})
    assert fewer.fingerprint == entry.fingerprint
    attention = trained.model.encoder.config._attn_implementation
    trained.model.encoder.backbone.set_attn_implementation("eager")  # as the graph is traced
    try:
        again = encoder_entry(trained, trained.tokenizer.to_str(), file="encoder.onnx", tolerance=1e-4)
        assert again.fingerprint == entry.fingerprint
    finally:
        trained.model.encoder.backbone.set_attn_implementation(attention)
