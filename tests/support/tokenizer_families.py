"""Tiny tokenizers of the families that encoders come with, each with its own idea of an offset."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "my order is late",
    "Where is the red lamp?",
    "Anna lives in New York.",
    "не пришла посылка",
    "1234",
] * 3
SPECIAL = ["<s>", "</s>", "<unk>"]


def word_piece() -> Tokenizer:
    """BERT's: lower case, accents stripped, words cut into pieces."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=120, special_tokens=SPECIAL, show_progress=False)
    return _trained(tokenizer, trainer)


def byte_bpe() -> Tokenizer:
    """RoBERTa's: bytes, the space before a word belonging to it. One character may be several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    return _trained(tokenizer, trainer)


def sentence_piece() -> Tokenizer:
    """XLM-R's: compatibility forms normalised, spaces written as a character of the word behind them."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    return _trained(tokenizer, trainer)


FAMILIES = {"word_piece": word_piece, "byte_bpe": byte_bpe, "sentence_piece": sentence_piece}


def _trained(tokenizer: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    tokenizer.train_from_iterator(CORPUS, trainer)
    first, last = (tokenizer.token_to_id(token) for token in SPECIAL[:2])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B:1 </s>:1",
        special_tokens=[("<s>", first), ("</s>", last)],
    )
    return tokenizer
