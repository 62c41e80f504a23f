import pytest
import torch
from hypothesis import given
from torch import nn

from tests.support.layouts import Layout, layouts
from training.heads.sub_encoder import SubEncoder, TransformerLayer


def loud(module: nn.Module) -> nn.Module:
    """Weights as large as after a training, so that every part shows."""
    torch.manual_seed(3)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.eval()


def sub_encoder() -> nn.Module:
    return loud(SubEncoder(8, num_layers=2, num_heads=2, intermediate_size=12, dropout=0.1))


@given(layout=layouts)
def test_a_sequences_states_are_the_same_packed_padded_and_alone(layout: Layout) -> None:
    encode = sub_encoder()
    with torch.inference_mode():
        packed, padded = encode(*layout.packed), encode(*layout.padded)
        for index, (row, start, length) in enumerate(layout.places):
            alone = encode(*layout.alone(index))[0]
            torch.testing.assert_close(packed[row, start : start + length], alone, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(padded[index, :length], alone, atol=1e-5, rtol=1e-5)


def test_a_layer_computes_what_pytorchs_own_computes() -> None:
    ours = loud(TransformerLayer(8, num_heads=2, intermediate_size=12, dropout=0.1))
    theirs = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True).train()
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    theirs.self_attn.dropout = 0.0
    pairs = {
        "self_attn.in_proj_weight": "query_key_value.weight",
        "self_attn.in_proj_bias": "query_key_value.bias",
        "self_attn.out_proj.weight": "attention_output.weight",
        "self_attn.out_proj.bias": "attention_output.bias",
        "linear1.weight": "intermediate.weight",
        "linear1.bias": "intermediate.bias",
        "linear2.weight": "output.weight",
        "linear2.bias": "output.bias",
        "norm1.weight": "attention_norm.weight",
        "norm1.bias": "attention_norm.bias",
        "norm2.weight": "output_norm.weight",
        "norm2.bias": "output_norm.bias",
    }
    state = ours.state_dict()
    theirs.load_state_dict({name: state[mine] for name, mine in pairs.items()})
    states = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(states, torch.zeros(3, 1, 5, 5)), theirs(states), atol=1e-5, rtol=1e-5)


def test_a_new_sub_encoder_begins_close_to_a_normalised_identity() -> None:
    encode = SubEncoder(64, num_layers=1, num_heads=4, intermediate_size=128, dropout=0.0)
    states = torch.randn(2, 7, 64)
    normalised = nn.functional.layer_norm(states, (64,))
    found = encode(states, torch.zeros(2, 7, dtype=torch.int64))
    assert (found - normalised).abs().max() < 0.3


def test_dropout_acts_in_training_alone() -> None:
    encode = SubEncoder(8, num_layers=1, num_heads=2, intermediate_size=12, dropout=0.5)
    states, segment_ids = torch.randn(1, 5, 8), torch.zeros(1, 5, dtype=torch.int64)
    assert not torch.equal(encode(states, segment_ids), encode(states, segment_ids))
    encode.eval()
    assert torch.equal(encode(states, segment_ids), encode(states, segment_ids))


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"should divide the hidden size 8\. Found 3"):
        SubEncoder(8, num_layers=1, num_heads=3, intermediate_size=12, dropout=0.0)
