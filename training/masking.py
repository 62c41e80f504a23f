"""Masked language modelling: which tokens are hidden, and behind what.

BERT's recipe (Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 3.1): 15 % of the tokens are to
be predicted; of these 80 % become the mask, 10 % a random token, and 10 % stay. Drawn anew each time a text
is read ("dynamic masking", Liu et al. 2019, https://arxiv.org/abs/1907.11692, section 4.1). With whole words,
a word's tokens are predicted together or not at all.

transformers' collator hides every token of a whole word behind the mask, without the 10 % and 10 %, and takes
a word with the punctuation behind it for one word; so this is written here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

IGNORED = -100
"""Label of tokens that are not to be predicted, as transformers' losses know it."""
NO_WORD = -1
"""Word of special tokens and padding, which are never hidden."""
REPLACED, RANDOM = 0.8, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskableText:
    """A text, or a part of a long one.

    Attributes:
        input_ids: With special tokens.
        words: Number of each token's word, ``NO_WORD`` for special tokens.
    """

    input_ids: list[int]
    words: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedBatch:
    """Padded texts with hidden tokens. Each tensor of shape ``(batch_size, seq_len)``.

    Attributes:
        input_ids: As the model reads them.
        attention_mask: 1 for tokens, 0 for padding.
        labels: The hidden tokens; ``IGNORED`` elsewhere.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Masking:
    """How tokens are hidden.

    Attributes:
        share: Of the tokens, or of the words.
        whole_word: Whether a word's tokens go together.
        mask_id: The mask's.
        vocab_size: Random tokens are drawn below it.
        pad_id: Written behind shorter texts.
    """

    share: float
    whole_word: bool
    mask_id: int
    vocab_size: int
    pad_id: int

    def collate(self, texts: Sequence[MaskableText]) -> MaskedBatch:
        """Pad texts and hide tokens, by PyTorch's global random generator; one token at least."""
        shape = (len(texts), max(len(text.input_ids) for text in texts))
        input_ids, words = np.full(shape, self.pad_id), np.full(shape, NO_WORD)
        attention_mask = np.zeros(shape, dtype=np.int64)
        for row, text in enumerate(texts):
            length = len(text.input_ids)
            input_ids[row, :length], words[row, :length] = text.input_ids, text.words
            attention_mask[row, :length] = 1
        original = torch.from_numpy(input_ids)
        chosen = self._choose(torch.from_numpy(words))
        return MaskedBatch(
            input_ids=self._hide(original, chosen),
            attention_mask=torch.from_numpy(attention_mask),
            labels=original.masked_fill(~chosen, IGNORED),
        )

    def _choose(self, words: Tensor) -> Tensor:
        """Which tokens are to be predicted. Bool of the shape of ``words``."""
        maskable = words != NO_WORD
        if self.whole_word:
            draws = torch.rand(words.shape[0], int(words.max()) + 1).gather(1, words.clamp(min=0))
        else:
            draws = torch.rand(words.shape)
        draws = draws.masked_fill(~maskable, torch.inf)
        chosen = draws < self.share
        return chosen if chosen.any() else draws == draws.min()

    def _hide(self, input_ids: Tensor, chosen: Tensor) -> Tensor:
        fate = torch.rand(input_ids.shape)
        random = torch.randint(self.vocab_size, input_ids.shape)
        hidden = input_ids.masked_fill(chosen & (fate < REPLACED), self.mask_id)
        is_random = chosen & (fate >= REPLACED) & (fate < REPLACED + RANDOM)
        return torch.where(is_random, random, hidden)
