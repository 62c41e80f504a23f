from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import GPT2Config

from tests.support.families import VOCAB_SIZE, tiny_family
from tests.support.processes import kill_when, start
from tests.support.tiny import WORDS, write_config, write_rows
from tests.support.tiny_kinds import write_kinds
from tests.training.conftest import start_run
from training.__main__ import main
from training.assembly.pretraining import build_pretrainer, maskable_texts, texts_of
from training.config.file import parse_config
from training.encoder import load_encoder, load_tokenizer_json
from training.errors import WeightsError
from training.families import FAMILIES
from training.masking import NO_WORD, MaskableText, Masking
from training.pretraining import check_has_head, load_masked_lm, take_back
from training.tokenization import build_tokenizer

SmallConfig = Callable[..., dict[str, Any]]


@pytest.fixture
def config(small_config: SmallConfig) -> dict[str, Any]:
    raw = small_config(tasks=("sentiment", "duplicate"), rows=40)
    raw["pretraining"] = {"steps": 40, "batch_size": 8, "save_every": 10, "learning_rate": 5e-3}
    return raw


def test_every_distinct_train_text_is_read_once_whatever_the_kind(
    config: dict[str, Any], tmp_path: Path
) -> None:
    data = write_kinds(tmp_path / "kinds", rows=6)
    config["tasks"] = {
        "things": {"kind": "tagging", "data": data["tagged"]},
        "close": {"kind": "ranking", "pair": "bi_encoder", "data": data["ranking"]},
        "same": {"kind": "ranking", "pair": "cross_encoder", "data": data["ranking"]},
        "next": {"kind": "multiple_choice", "data": data["choices"], "question": "question"},
    }
    texts = texts_of(parse_config(config))
    assert len(texts) == len(set(texts))
    assert all(isinstance(text, str) and text for text in texts)
    fewer = {**config, "tasks": {name: config["tasks"][name] for name in ("things", "close", "next")}}
    assert texts_of(parse_config(fewer)) == texts, "the same data in two tasks gives the same texts"


def test_nothing_of_a_long_text_is_lost(tiny_encoder: Path) -> None:
    tokenizer = build_tokenizer(load_tokenizer_json(str(tiny_encoder)), 8)
    long = "where is the blue lamp and my small red shoe please help today"
    parts = maskable_texts(tokenizer, [long])
    assert all(len(part.input_ids) <= 8 for part in parts)
    kept = [token for part in parts for token, word in zip(part.input_ids, part.words, strict=True)
            if word != NO_WORD]  # fmt: skip
    tokenizer.no_truncation()
    assert kept == tokenizer.encode(long, add_special_tokens=False).ids


def test_a_long_text_is_held_out_as_a_whole(config: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"text": " ".join([word] * 60), "mood": "fine"} for word in WORDS[:10]]
    config["tasks"] = {"sentiment": config["tasks"]["sentiment"]}
    config["tasks"]["sentiment"]["data"]["train"] = write_rows(tmp_path / "long.jsonl", rows)
    config["pretraining"]["held_out"] = 0.5
    pretrainer = build_pretrainer(parse_config(config))
    learnt, aside = (
        {token for text in texts for token, word in zip(text.input_ids, text.words, strict=True) if word >= 0}
        for texts in (pretrainer._texts, pretrainer._held_out)
    )
    assert len(pretrainer._held_out) > len(aside) == 5
    assert learnt.isdisjoint(aside)


def test_the_held_out_loss_falls_and_the_folder_is_an_encoder_with_its_pooler(
    config: dict[str, Any], tmp_path: Path, tiny_encoder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, output = write_config(tmp_path / "c.yaml", config), tmp_path / "weights"
    assert main(["pretrain", str(file), "--output", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    losses = [float(line.rsplit(" ", 1)[1]) for line in lines[:-1]]
    assert len(losses) == 5
    assert losses[-1] < losses[0]
    assert lines[-1] == f"Finished. Next: encoder: {{model: {output}}} in {file}"
    before, after = (load_encoder(str(path)).backbone.state_dict() for path in (tiny_encoder, output))
    assert before.keys() == after.keys()
    assert torch.equal(before["pooler.dense.weight"], after["pooler.dense.weight"])
    assert not torch.equal(
        before["embeddings.word_embeddings.weight"], after["embeddings.word_embeddings.weight"]
    )
    assert load_tokenizer_json(str(output)) == load_tokenizer_json(str(tiny_encoder))
    start_run(config | {"encoder": {**config["encoder"], "model": str(output)}}, tmp_path / "run")
    assert not list(tmp_path.glob(".*"))


def test_a_killed_pretraining_ends_as_if_never_killed(config: dict[str, Any], tmp_path: Path) -> None:
    file = write_config(tmp_path / "c.yaml", config)
    assert main(["pretrain", str(file), "--output", str(tmp_path / "whole")]) == 0
    killed = tmp_path / "killed"
    command = ["training", "pretrain", file, "--output", killed, "--resume"]
    kill_when(
        start(command), lambda: (tmp_path / ".pretraining-killed" / "checkpoints" / "index.json").exists()
    )
    assert not killed.exists()
    assert main([str(part) for part in command[1:]]) == 0
    found, expected = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "whole"))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert main(["pretrain", str(file), "--output", str(killed)]) == 2, "what exists is left alone"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_that_the_weights_lack_starts_from_no_leftover_memory(family: str, tmp_path: Path) -> None:
    tiny_family(family).backbone.save_pretrained(tmp_path)
    torch.use_deterministic_algorithms(True)  # PyTorch then fills what is allocated and not set with NaN
    try:
        model = load_masked_lm(str(tmp_path))
    finally:
        torch.use_deterministic_algorithms(False)
    broken = [name for name, weight in model.state_dict().items() if not torch.isfinite(weight).all()]
    assert broken == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_under_its_head_and_takes_its_weights_back(family: str, tmp_path: Path) -> None:
    tiny_family(family).backbone.save_pretrained(tmp_path)
    model = load_masked_lm(str(tmp_path))
    masking = Masking(share=0.5, whole_word=False, mask_id=5, vocab_size=VOCAB_SIZE, pad_id=1)
    texts = [MaskableText(input_ids=[*range(10, 10 + n)], words=[*range(n)]) for n in (9, 4)]
    batch = masking.collate(texts)
    given = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}
    loss = model(**given).loss
    assert torch.isfinite(loss)
    loss.backward()
    with torch.no_grad():
        for parameter in model.base_model.parameters():
            parameter.add_(1.0)
    backbone = load_encoder(str(tmp_path)).backbone
    take_back(backbone, model)
    after = backbone.state_dict()
    for name, weight in model.base_model.state_dict().items():
        assert torch.equal(after[name], weight), name


def test_a_family_without_a_head_is_refused_by_name() -> None:
    with pytest.raises(WeightsError, match="no masked-LM head for encoders of family 'gpt2'"):
        check_has_head(GPT2Config())


def test_weights_that_are_missing_are_named() -> None:
    with pytest.raises(WeightsError, match="No folder"):
        load_masked_lm("./gone")


def test_mistakes_of_the_section_have_their_place(
    config: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config["pretraining"] = {"mask_share": 1.5, "whole_words": True}
    file = write_config(tmp_path / "c.yaml", config)
    assert main(["pretrain", str(file), "--output", str(tmp_path / "weights")]) == 2
    message = capsys.readouterr().err
    assert "pretraining.mask_share: Input should be less than 1, found 1.5" in message
    assert "pretraining.whole_words: unknown key; did you mean 'whole_word'?" in message
