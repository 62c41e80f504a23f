from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import (
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    PretrainedConfig,
    RobertaConfig,
    XLNetConfig,
    XLNetModel,
)

from training.encoder import (
    SharedEncoder,
    build_encoder,
    load_encoder,
    load_tokenizer_json,
)
from training.errors import WeightsError
from training.families import FAMILIES

SMALL = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 16, "max_position_embeddings": 20}  # fmt: skip


def build(config: PretrainedConfig, folder: Path) -> SharedEncoder:
    config.save_pretrained(folder)
    return build_encoder(folder).eval()


def ones_and_zeros(input_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Attention mask and token types of sequences without padding."""
    return torch.ones_like(input_ids), torch.zeros_like(input_ids)


def test_weights_are_loaded_in_float32_and_describe_themselves(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert (encoder.hidden_size, encoder.num_layers, encoder.pad_token_id) == (32, 2, 0)
    assert (encoder.uses_token_types, encoder.has_pooler) == (True, True)
    assert (encoder.position_offset, encoder.max_positions) == (0, 64)


def test_half_precision_weights_become_float32(tiny_encoder: Path, tmp_path: Path) -> None:
    """Published files are float16 now and then, and transformers keeps what it finds."""
    weights = load_file(tiny_encoder / "model.safetensors")
    halves = {name: tensor.half() for name, tensor in weights.items()}
    save_file(halves, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = (tiny_encoder / "config.json").read_text().replace("float32", "float16")
    (tmp_path / "config.json").write_text(config)
    encoder = load_encoder(str(tmp_path))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}


def test_padding_does_not_change_token_states(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    input_ids = torch.tensor([[2, 5, 6, 3, 0, 0, 0]])
    mask, types = (input_ids != 0).long(), torch.zeros_like(input_ids)
    alone = encoder(input_ids[:, :4], mask[:, :4], types[:, :4]).last_hidden_state
    padded = encoder(input_ids, mask, types).last_hidden_state
    torch.testing.assert_close(padded[:, :4], alone, atol=1e-5, rtol=1e-5)


def test_the_second_text_of_a_pair_is_marked_by_its_token_types(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    input_ids = torch.tensor([[2, 5, 3, 6, 3]])
    mask, zeros = ones_and_zeros(input_ids)
    plain = encoder(input_ids, mask, zeros).last_hidden_state
    marked = encoder(input_ids, mask, torch.tensor([[0, 0, 0, 1, 1]])).last_hidden_state
    assert not torch.allclose(plain, marked)


def test_hidden_states_are_the_embeddings_and_every_layer_and_only_on_demand(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    input_ids = torch.tensor([[2, 5, 3]])
    assert encoder(input_ids, *ones_and_zeros(input_ids)).hidden_states is None
    output = encoder(input_ids, *ones_and_zeros(input_ids), with_hidden_states=True)
    assert output.hidden_states is not None
    assert len(output.hidden_states) == encoder.num_layers + 1
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    assert output.pooler_output.shape == (1, encoder.hidden_size)


def test_roberta_counts_positions_from_behind_the_padding_token(tmp_path: Path) -> None:
    encoder = build(RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1), tmp_path)
    assert (encoder.position_offset, encoder.max_positions) == (2, 18)
    assert not encoder.uses_token_types
    input_ids = torch.tensor([[0, 7, 9, 2]])
    mask, types = ones_and_zeros(input_ids)
    own = encoder.backbone(input_ids=input_ids, attention_mask=mask).last_hidden_state
    assert torch.equal(encoder(input_ids, mask, types).last_hidden_state, own)


def test_a_text_that_spells_the_padding_token_is_numbered_like_any_other(tmp_path: Path) -> None:
    """Left to itself, RoBERTa gives the tokens behind it other positions than the packed rows do."""
    encoder = build(RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1), tmp_path)
    input_ids = torch.tensor([[0, 7, 1, 9, 2]])
    mask, types = ones_and_zeros(input_ids)
    numbered = encoder.backbone(
        input_ids=input_ids, attention_mask=mask, position_ids=torch.arange(2, 7).unsqueeze(0)
    ).last_hidden_state
    assert torch.equal(encoder(input_ids, mask, types).last_hidden_state, numbered)


def test_a_longer_max_length_than_there_are_positions_is_a_fault(tmp_path: Path) -> None:
    encoder = build(RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1), tmp_path)
    assert encoder.faults(max_length=18, poolings={"mean", "pooler"}) == []
    assert encoder.faults(max_length=19, poolings={"mean"}) == [
        "encoder.max_length: 19, but the encoder has 18 positions"
    ]


def test_pooler_of_a_family_without_one_is_a_fault_that_names_what_there_is(tmp_path: Path) -> None:
    config = DistilBertConfig(vocab_size=30, dim=8, n_layers=2, n_heads=2, hidden_dim=16)
    (fault,) = build(config, tmp_path).faults(max_length=20, poolings={"pooler", "mean"})
    assert fault == (
        "pooling: 'pooler', but encoders of family 'distilbert' have none. Use cls, mean or max."
    )


def test_an_unknown_family_is_refused_by_name_before_its_weights_are_read(tmp_path: Path) -> None:
    config = XLNetConfig(vocab_size=30, d_model=8, n_layer=1, n_head=2, d_inner=16)
    config.save_pretrained(tmp_path)
    with pytest.raises(WeightsError, match=r"family 'xlnet' are not supported\. These are: albert, bert, "):
        load_encoder(str(tmp_path))
    with pytest.raises(WeightsError, match="'xlnet'"):
        SharedEncoder(XLNetModel(config))
    assert "xlnet" not in FAMILIES


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (BertConfig(**SMALL), ("hidden_dropout_prob", "attention_probs_dropout_prob")),
        (DistilBertConfig(vocab_size=30, dim=8, n_layers=2, n_heads=2, hidden_dim=16),
         ("dropout", "attention_dropout")),
        (DebertaV2Config(**SMALL, type_vocab_size=0),
         ("hidden_dropout_prob", "attention_probs_dropout_prob")),
    ],
    ids=lambda value: value.model_type if isinstance(value, PretrainedConfig) else "",
)  # fmt: skip
def test_dropout_is_the_configurations_unless_given(
    config: PretrainedConfig, names: tuple[str, str], tmp_path: Path
) -> None:
    build(config, tmp_path / "untrained").backbone.save_pretrained(tmp_path / "weights")
    source = str(tmp_path / "weights")

    def dropout(**given: Any) -> tuple[float, float]:
        loaded = load_encoder(source, **given).config
        return getattr(loaded, names[0]), getattr(loaded, names[1])

    assert dropout() == (0.1, 0.1)
    assert dropout(dropout=0.3) == (0.3, 0.1)
    assert dropout(attention_dropout=0.0) == (0.1, 0.0)


def test_without_any_dropout_training_mode_computes_what_evaluation_does(tiny_encoder: Path) -> None:
    input_ids = torch.tensor([[2, 5, 6, 3]])
    arguments = (input_ids, *ones_and_zeros(input_ids))
    silent = load_encoder(str(tiny_encoder), dropout=0.0, attention_dropout=0.0)
    assert torch.equal(silent.train()(*arguments)[0], silent.eval()(*arguments)[0])
    noisy = load_encoder(str(tiny_encoder), dropout=0.5, attention_dropout=0.0)
    assert not torch.equal(noisy.train()(*arguments)[0], noisy.eval()(*arguments)[0])


def test_an_encoder_is_built_again_from_its_configuration_and_weights(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    encoder.config.save_pretrained(tmp_path)
    again = build_encoder(tmp_path).eval()
    again.load_state_dict(encoder.state_dict())
    input_ids = torch.tensor([[2, 5, 6, 3]])
    arguments = (input_ids, *ones_and_zeros(input_ids))
    assert torch.equal(again(*arguments).last_hidden_state, encoder(*arguments).last_hidden_state)


def test_the_tokenizer_is_the_folders_own_file(tiny_encoder: Path) -> None:
    text = load_tokenizer_json(str(tiny_encoder))
    assert Tokenizer.from_str(text).token_to_id("[CLS]") == 2


def test_a_folder_without_a_vocabulary_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    """Transformers alone would make every word unknown."""
    (tmp_path / "config.json").write_bytes((tiny_encoder / "config.json").read_bytes())
    with pytest.raises(WeightsError, match=r"has no vocabulary\. Expected a tokenizer\.json"):
        load_tokenizer_json(str(tmp_path))
