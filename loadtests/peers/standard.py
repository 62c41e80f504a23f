"""A task of ours as a folder that transformers, and with it every peer, can load."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from training.encoder import SharedEncoder
from training.model import MultitaskModel

ONNX_FILE = "model.onnx"
"""Where optimum looks for it."""
OPSET = 18


def write_folder(
    folder: Path,
    model: MultitaskModel,
    task: str,
    labels: Sequence[str],
    *,
    temperature: float,
    tokenizer: Path,
    max_length: int,
) -> None:
    """Weights, tokenizer and an ONNX graph.

    Args:
        folder: Created.
        model: Whose head for the task is linear over BERT's pooler.
        task: Its name.
        labels: Its labels.
        temperature: That the task's logits are divided by.
        tokenizer: The bundle's.
        max_length: Tokens after which a peer is to cut a text.
    """
    standard = standard_model(model, task, labels, temperature=temperature)
    standard.save_pretrained(folder)
    write_tokenizer(folder, tokenizer, max_length=max_length)
    write_onnx(standard, folder / ONNX_FILE)


def standard_model(
    model: MultitaskModel, task: str, labels: Sequence[str], *, temperature: float
) -> BertForSequenceClassification:
    """The transformers class with the scores of a task; the arguments are those of ``write_folder``."""
    encoder = model.encoder
    assert isinstance(encoder, SharedEncoder), "trained here, with its weights"
    names = dict(enumerate(labels))
    config = BertConfig.from_dict(
        {
            **encoder.config.to_dict(),
            "id2label": names,
            "label2id": {label: index for index, label in names.items()},
            "architectures": ["BertForSequenceClassification"],
        }
    )
    standard = BertForSequenceClassification(config).eval()
    standard.bert.load_state_dict(encoder.backbone.state_dict())
    (linear,) = [each for each in model.heads[task].modules() if isinstance(each, nn.Linear)]
    # A softmax at a temperature is an ordinary one over divided logits.
    standard.classifier.weight.data = linear.weight.data / temperature
    standard.classifier.bias.data = linear.bias.data / temperature
    return standard


def write_tokenizer(folder: Path, source: Path, *, max_length: int) -> None:
    """A tokenizer that by itself neither pads nor truncates, as transformers 4 and 5 read it."""
    tokenizer = Tokenizer.from_file(str(source))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / "tokenizer.json"))
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
    settings = {
        "tokenizer_class": "BertTokenizer",
        "model_max_length": max_length,
        "do_lower_case": True,
        **special,
    }
    for name, content in {"tokenizer_config": settings, "special_tokens_map": special}.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_onnx(model: BertForSequenceClassification, file: Path) -> None:
    """The model as a graph of padded rows, as optimum exports it."""
    names = ("input_ids", "attention_mask", "token_type_ids")
    # A tensor each: one that is given three times is one input to the exporter, whatever reads it.
    example = {name: torch.ones(2, 8, dtype=torch.long) for name in names}
    batch = torch.export.Dim("batch")
    length = torch.export.Dim("length", max=model.config.max_position_embeddings)
    torch.onnx.export(
        model,
        (),
        str(file),
        kwargs=example,
        input_names=names,
        output_names=["logits"],
        dynamic_shapes={name: {0: batch, 1: length} for name in names},
        opset_version=OPSET,
        external_data=False,
        dynamo=True,
        verbose=False,
    )
