"""Heads of transformers classes answer what the classes themselves answer."""

from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import PretrainedConfig

from training.heads.hf import HfBody, find_class

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
FAMILIES: dict[str, dict[str, Any]] = {
    "Bert": SMALL,
    "Roberta": SMALL,
    "XLMRoberta": SMALL,
    "DistilBert": {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24},
    "Albert": {**SMALL, "embedding_size": 8},
    "Electra": {**SMALL, "embedding_size": 8},
}
AUTO = {
    "sequence": "AutoModelForSequenceClassification",
    "token": "AutoModelForTokenClassification",
    "span": "AutoModelForQuestionAnswering",
    "choice": "AutoModelForMultipleChoice",
}
INPUT_IDS = torch.tensor([[5, 6, 7, 8, 9], [9, 8, 7, 2, 2]])


def config_of(family: str) -> PretrainedConfig:
    return getattr(transformers, f"{family}Config")(vocab_size=30, pad_token_id=1, **FAMILIES[family])


def whole_model(task: str, config: PretrainedConfig) -> nn.Module:
    config.num_labels = {"span": 2, "choice": 1}.get(task, 3)
    torch.manual_seed(0)
    model: nn.Module = getattr(transformers, AUTO[task]).from_config(config, attn_implementation="eager")
    return model.eval()


def head_of(model: Any, task: str, config: PretrainedConfig) -> HfBody:
    """The class's head with the whole model's weights."""
    body = HfBody(AUTO[task], config, num_outputs={"span": 2, "choice": 1}.get(task, 3)).eval()
    prefix = f"{model.base_model_prefix}."
    own = {name: value for name, value in model.state_dict().items() if not name.startswith(prefix)}
    body.model.load_state_dict(own)
    return body


def logits_of(output: Any) -> Tensor:
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    logits: Tensor = output.logits
    return logits


@pytest.mark.parametrize("task", AUTO)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_over_the_base_models_output_answers_as_the_whole_class(family: str, task: str) -> None:
    config = config_of(family)
    model = whole_model(task, config)
    head = head_of(model, task, config_of(family))
    base = getattr(model, model.base_model_prefix)
    with torch.inference_mode():
        if task == "choice":
            expected = logits_of(model(INPUT_IDS.unsqueeze(1)))
        else:
            expected = logits_of(model(INPUT_IDS))
        output = base(INPUT_IDS)
        if task in ("token", "span"):
            features = output.last_hidden_state
        elif head.reads_pooler():
            features = output.pooler_output
        else:
            features = output.last_hidden_state[:, 0]
        torch.testing.assert_close(head(features), expected, atol=1e-6, rtol=1e-6)


def test_only_the_heads_own_parameters_remain_and_are_saved() -> None:
    body = HfBody(AUTO["sequence"], config_of("Bert"), num_outputs=3)
    assert set(body.state_dict()) == {"model.classifier.weight", "model.classifier.bias"}


@pytest.mark.parametrize(
    ("family", "task", "reads_pooler"),
    [("Bert", "sequence", True), ("Roberta", "sequence", False), ("Electra", "sequence", False),
     ("Roberta", "choice", True), ("DistilBert", "choice", False)],
)  # fmt: skip
def test_a_class_says_whether_it_reads_the_pooler(family: str, task: str, reads_pooler: bool) -> None:
    body = HfBody(AUTO[task], config_of(family), num_outputs=3)
    assert body.reads_pooler() is reads_pooler
    assert body(torch.zeros(2, 16)).isfinite().all(), "and is as before"


def test_a_concrete_class_and_its_auto_class_are_the_same_head() -> None:
    auto = HfBody(AUTO["token"], config_of("Roberta"), num_outputs=4)
    concrete = HfBody("RobertaForTokenClassification", config_of("Roberta"), num_outputs=4)
    assert type(auto.model) is type(concrete.model)


def test_parameters_reach_the_heads_configuration() -> None:
    body = HfBody(AUTO["sequence"], config_of("Bert"), num_outputs=3,
                  parameters={"classifier_dropout": 0.4})  # fmt: skip
    assert [module.p for module in body.modules() if isinstance(module, nn.Dropout)] == [0.4]


def test_the_encoders_own_configuration_is_left_alone() -> None:
    config = config_of("Bert")
    before = config.to_dict()
    HfBody(AUTO["sequence"], config, num_outputs=7, parameters={"classifier_dropout": 0.4})
    assert config.to_dict() == before


@pytest.mark.parametrize(
    ("class_name", "parameters", "message"),
    [
        ("AutoModelForSequenceClasification", {}, r"did you mean 'AutoModelForSequenceClassification'\?"),
        ("BertModel", {}, "no class with a head named 'BertModel'"),
        ("RobertaForSequenceClassification", {}, "is of family 'roberta', but the encoder is of 'bert'"),
        ("AutoModelForSeq2SeqLM", {}, "AutoModelForSeq2SeqLM has no head for encoders of family 'bert'"),
        (AUTO["sequence"], {"dropuot": 0.1}, r"'bert' has no dropuot; of a head it has .*classifier_dropout"),
        (AUTO["sequence"], {"num_labels": 4}, "num_labels: the encoder and the task decide"),
    ],
)
def test_a_class_or_parameter_that_does_not_fit_is_refused(
    class_name: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        HfBody(class_name, config_of("Bert"), num_outputs=3, parameters=parameters)


def test_every_usual_class_exists() -> None:
    for name in AUTO.values():
        find_class(name)
