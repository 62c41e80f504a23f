from pathlib import Path

import torch
from tokenizers import Tokenizer

from training.encoder import build_encoder, load_encoder, load_tokenizer_json


def test_weights_are_loaded_in_float32_and_describe_themselves(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder))
    assert {parameter.dtype for parameter in encoder.parameters()} == {torch.float32}
    assert (encoder.hidden_size, encoder.pad_token_id, encoder.uses_token_types) == (32, 0, True)


def test_padding_does_not_change_token_states(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    input_ids = torch.tensor([[2, 5, 6, 3, 0, 0, 0]])
    mask, types = (input_ids != 0).long(), torch.zeros_like(input_ids)
    alone = encoder(input_ids[:, :4], mask[:, :4], types[:, :4])
    torch.testing.assert_close(encoder(input_ids, mask, types)[:, :4], alone, atol=1e-5, rtol=1e-5)


def test_the_second_text_of_a_pair_is_marked_by_its_token_types(tiny_encoder: Path) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    input_ids = torch.tensor([[2, 5, 3, 6, 3]])
    mask = torch.ones_like(input_ids)
    plain = encoder(input_ids, mask, torch.zeros_like(input_ids))
    marked = encoder(input_ids, mask, torch.tensor([[0, 0, 0, 1, 1]]))
    assert not torch.allclose(plain, marked)


def test_an_encoder_is_built_again_from_its_configuration_and_weights(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder = load_encoder(str(tiny_encoder)).eval()
    encoder.config.save_pretrained(tmp_path)
    again = build_encoder(tmp_path).eval()
    again.load_state_dict(encoder.state_dict())
    input_ids = torch.tensor([[2, 5, 6, 3]])
    arguments = (input_ids, torch.ones_like(input_ids), torch.zeros_like(input_ids))
    assert torch.equal(again(*arguments), encoder(*arguments))


def test_the_tokenizer_is_the_folders_own_file(tiny_encoder: Path) -> None:
    text = load_tokenizer_json(str(tiny_encoder))
    assert Tokenizer.from_str(text).token_to_id("[CLS]") == 2
