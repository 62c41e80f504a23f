import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PretrainedConfig,
    RobertaConfig,
)

from training.schedules.depth import (
    count_layers,
    depth_of,
    freeze_lowest,
    layerwise_factor,
    lowest_trained_depth,
)

SMALL = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 50}
FAMILIES: list[tuple[PretrainedConfig, int]] = [
    (BertConfig(**SMALL, num_hidden_layers=3), 3),
    (RobertaConfig(**SMALL, num_hidden_layers=3), 3),
    (ElectraConfig(**SMALL, num_hidden_layers=3), 3),
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
    depths = {name: depth_of(name, layers) for name in names}
    assert set(depths.values()) == set(range(layers + 1))
    assert all(depth == 0 for name, depth in depths.items() if "word_embeddings" in name or "tok_emb" in name)
    assert all(depth > 0 for name, depth in depths.items() if "attention" in name or ".attn." in name)


@pytest.mark.parametrize(("config", "layers"), FAMILIES, ids=lambda value: getattr(value, "model_type", ""))
def test_the_lowest_layers_and_the_embeddings_freeze(config: PretrainedConfig, layers: int) -> None:
    encoder = AutoModel.from_config(config)
    freeze_lowest(encoder, 1)
    trained = {
        depth_of(name, layers) for name, parameter in encoder.named_parameters() if parameter.requires_grad
    }
    assert trained == set(range(2, layers + 1))


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
