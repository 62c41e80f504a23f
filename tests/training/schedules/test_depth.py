import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    RemBertConfig,
    RobertaConfig,
    RobertaPreLayerNormConfig,
    XLMRobertaXLConfig,
)

from training.schedules.depth import (
    count_layers,
    depths_of,
    freeze_lowest,
    layerwise_factor,
    lowest_trained_depth,
)

SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
RELATIVE = {"relative_attention": True, "position_biased_input": False, "pos_att_type": ["c2p", "p2c"]}
FAMILIES: list[tuple[PretrainedConfig, int]] = [
    (BertConfig(**SMALL, num_hidden_layers=3), 3),
    (RobertaConfig(**SMALL, num_hidden_layers=3), 3),
    (ElectraConfig(**SMALL, num_hidden_layers=3), 3),
    (RobertaPreLayerNormConfig(**SMALL, num_hidden_layers=3), 3),
    (RemBertConfig(**SMALL, num_hidden_layers=3, input_embedding_size=8), 3),
    (MPNetConfig(**SMALL, num_hidden_layers=3), 3),
    (DebertaConfig(**SMALL, **RELATIVE, num_hidden_layers=3), 3),
    (
        DebertaV2Config(
            **SMALL, **RELATIVE, num_hidden_layers=3, norm_rel_ebd="layer_norm", conv_kernel_size=3
        ),
        3,
    ),
    (XLMRobertaXLConfig(**SMALL, num_hidden_layers=3), 3),
    (DistilBertConfig(vocab_size=50, dim=16, n_heads=2, hidden_dim=16, n_layers=3), 3),
    (ModernBertConfig(**SMALL, num_hidden_layers=3, pad_token_id=0), 3),
    (
        AlbertConfig(**SMALL, num_hidden_layers=3, embedding_size=8),
        1,
    ),  # one layer's weights, used three times
]


@pytest.mark.parametrize(("config", "layers"), FAMILIES, ids=lambda value: getattr(value, "model_type", ""))
def test_every_family_has_its_embeddings_at_the_bottom_and_its_layers_in_order(
    config: PretrainedConfig, layers: int
) -> None:
    names = [name for name, _ in AutoModel.from_config(config).named_parameters()]
    assert count_layers(names) == layers
    depths = depths_of(names)
    assert set(depths.values()) == set(range(layers + 1))
    assert all(depth == 0 for name, depth in depths.items() if "word_embeddings" in name or "tok_emb" in name)
    assert all(depth > 0 for name, depth in depths.items() if ".attention." in name or ".attn." in name)


@pytest.mark.parametrize(("config", "layers"), FAMILIES, ids=lambda value: getattr(value, "model_type", ""))
def test_no_parameter_reaches_below_its_depth(config: PretrainedConfig, layers: int) -> None:
    """What goes into layer d depends on nothing of depth d or more: so freezing stops the gradient there."""
    encoder = AutoModel.from_config(config)
    hidden = encoder(torch.tensor([[5, 6, 7]]), output_hidden_states=True).hidden_states
    named = dict(encoder.named_parameters())
    for depth in range(1, layers + 1):
        above = {name: named[name] for name, own in depths_of(named).items() if own >= depth}
        found = torch.autograd.grad(
            hidden[depth - 1].sum(), list(above.values()), retain_graph=True, allow_unused=True
        )
        assert [name for name, each in zip(above, found, strict=True) if each is not None] == []


@pytest.mark.parametrize(("config", "layers"), FAMILIES, ids=lambda value: getattr(value, "model_type", ""))
def test_the_lowest_layers_and_the_embeddings_freeze(config: PretrainedConfig, layers: int) -> None:
    encoder = AutoModel.from_config(config)
    freeze_lowest(encoder, 1)
    named = dict(encoder.named_parameters())
    trained = {depth for name, depth in depths_of(named).items() if named[name].requires_grad}
    assert trained == set(range(2, layers + 1))


def test_a_final_norm_lies_on_top_and_a_norm_of_relative_positions_below_all_layers() -> None:
    layers = [f"encoder.layer.{number}.output.weight" for number in range(3)]
    assert depths_of([*layers, "encoder.LayerNorm.weight"])["encoder.LayerNorm.weight"] == 3
    relative = [*layers, "encoder.rel_embeddings.weight", "encoder.LayerNorm.weight"]
    assert depths_of(relative)["encoder.LayerNorm.weight"] == 0


def test_rates_decay_from_the_last_layer_to_the_embeddings() -> None:
    assert [layerwise_factor(depth, 3, decay=0.5) for depth in range(4)] == [0.125, 0.25, 0.5, 1.0]
    assert [layerwise_factor(depth, 3, decay=1.0) for depth in range(4)] == [1.0] * 4


@given(every=st.integers(1, 50), layers=st.integers(1, 24), step=st.integers(0, 5000))
def test_layers_thaw_one_by_one_from_the_top_and_never_freeze_again(
    every: int, layers: int, step: int
) -> None:
    now, later = (lowest_trained_depth(s, layers, every=every) for s in (step, step + 1))
    assert 0 <= later <= now <= later + 1
    assert lowest_trained_depth(0, layers, every=every) == layers + 1
    assert lowest_trained_depth(every, layers, every=every) == layers
    assert lowest_trained_depth(every * (layers + 1), layers, every=every) == 0
