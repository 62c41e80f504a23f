import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from training.masking import IGNORED, NO_WORD, MaskableText, MaskedBatch, Masking

MASK, PAD, VOCAB, LENGTH = 4, 0, 200, 102


def masking(*, whole_word: bool = False, share: float = 0.15) -> Masking:
    return Masking(share=share, whole_word=whole_word, mask_id=MASK, vocab_size=VOCAB, pad_id=PAD)


def text(length: int = LENGTH, tokens_a_word: int = 2) -> MaskableText:
    """Between two special tokens, words of several tokens; none is the mask or padding."""
    inner = [10 + place % (VOCAB - 10) for place in range(length - 2)]
    words = [place // tokens_a_word for place in range(length - 2)]
    return MaskableText(input_ids=[2, *inner, 3], words=[NO_WORD, *words, NO_WORD])


def shares(original: torch.Tensor, batch: MaskedBatch | dict[str, torch.Tensor]) -> tuple[float, ...]:
    """Of the real tokens, how many are predicted; of these, how many are masked, changed, kept."""
    hidden, labels = (batch.input_ids, batch.labels) if isinstance(batch, MaskedBatch) else (
        batch["input_ids"], batch["labels"]
    )  # fmt: skip
    chosen = labels != IGNORED
    masked, same = chosen & (hidden == MASK), chosen & (hidden == original)
    count = int(chosen.sum())
    return (
        count / (original.numel() - 2 * len(original)),
        int(masked.sum()) / count,
        int((chosen & ~masked & ~same).sum()) / count,
        int(same.sum()) / count,
    )


@pytest.mark.parametrize("whole_word", [False, True])
def test_15_percent_are_predicted_of_which_80_are_masked_10_random_and_10_kept(whole_word: bool) -> None:
    texts = [text()] * 600
    batch = masking(whole_word=whole_word).collate(texts)
    original = torch.tensor([each.input_ids for each in texts])
    assert shares(original, batch) == pytest.approx((0.15, 0.8, 0.1, 0.1), abs=0.012)


def test_token_by_token_the_shares_are_those_of_transformers_own_collator() -> None:
    from tokenizers import Tokenizer, models

    vocabulary = {f"t{number}": number for number in range(VOCAB)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="t1")),
        mask_token=f"t{MASK}", pad_token="t0", cls_token="t2", sep_token="t3",
    )  # fmt: skip
    rows = [{"input_ids": text().input_ids, "special_tokens_mask": [1, *[0] * (LENGTH - 2), 1]}] * 600
    theirs = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)(rows)
    original = torch.tensor([row["input_ids"] for row in rows])
    ours = masking().collate([text()] * 600)
    assert shares(original, ours) == pytest.approx(shares(original, dict(theirs)), abs=0.015)


@given(
    lengths=st.lists(st.integers(3, 30), min_size=1, max_size=8),
    tokens_a_word=st.integers(1, 4),
    share=st.floats(0.001, 0.9),
    whole_word=st.booleans(),
)
def test_labels_are_the_hidden_tokens_and_special_tokens_and_padding_are_left_alone(
    lengths: list[int], tokens_a_word: int, share: float, whole_word: bool
) -> None:
    texts = [text(length, tokens_a_word) for length in lengths]
    batch = masking(whole_word=whole_word, share=share).collate(texts)
    assert (batch.labels != IGNORED).any(), "there is a loss in every batch"
    for row, each in enumerate(texts):
        length = len(each.input_ids)
        found, labels = batch.input_ids[row].tolist(), batch.labels[row].tolist()
        assert batch.attention_mask[row].tolist() == [1] * length + [0] * (len(found) - length)
        assert found[length:] == [PAD] * (len(found) - length)
        assert labels[length:] == [IGNORED] * (len(found) - length)
        for place, (token, word) in enumerate(zip(each.input_ids, each.words, strict=True)):
            assert labels[place] in ((IGNORED,) if word == NO_WORD else (IGNORED, token))
            if labels[place] == IGNORED:
                assert found[place] == token
        if whole_word:
            chosen = {word for word, label in zip(each.words, labels, strict=False) if label != IGNORED}
            together = {w for w, label in zip(each.words, labels, strict=False) if label == IGNORED}
            assert chosen.isdisjoint(together)


def test_every_reading_hides_other_tokens() -> None:
    first, second = (masking().collate([text()]) for _ in range(2))
    assert not torch.equal(first.labels, second.labels)
