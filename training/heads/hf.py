"""The head of a transformers class: its own layers over our encoder's output, with its own initialisation.

The class is built from the encoder's configuration, and its base model is replaced by one that hands its
input on. So the class's own ``forward`` runs, whatever stands in it, and only the head's parameters remain.
"""

import copy
import difflib
from collections.abc import Mapping
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from transformers import AutoModelForMultipleChoice, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

AUTO_CLASSES = (
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
)
DECIDED_ELSEWHERE = ("hidden_size", "num_labels", "id2label", "label2id", "num_hidden_layers", "vocab_size")
"""Configuration values that the encoder or the task gives."""


class HfBody(nn.Module):
    """A transformers class without its base model: features → logits.

    Args:
        class_name: In ``transformers``: an ``AutoModelFor…``, or a class of the encoder's own family.
        config: The encoder's.
        num_outputs: Labels; 1 for a value or a choice; 2 for start and end.
        parameters: Values of the configuration that the class's head reads, such as ``classifier_dropout``.

    Raises:
        ValueError: If there is no such class, it is of another family, or a parameter is none of its
            configuration's.
    """

    def __init__(
        self,
        class_name: str,
        config: PretrainedConfig,
        *,
        num_outputs: int,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        chosen = _class_of_family(class_name, config)
        self.hidden_size = int(config.hidden_size)
        self.model: Any = chosen(_configure(config, num_outputs, parameters or {}))
        self.takes_choices = chosen in AutoModelForMultipleChoice._model_mapping.values()
        self._replace_base(HandsOn())

    def forward(self, features: Tensor) -> Tensor:
        """Logits, as the class gives them for these features.

        Args:
            features: A vector a sequence, ``(batch_size, hidden_size)``, or token states,
                ``(rows, row_len, hidden_size)``.
        """
        if features.ndim == 2:  # a sequence of one token; for a class that compares choices, the only choice
            features = features.unsqueeze(1)
            features = features.unsqueeze(1) if self.takes_choices else features
        output = self.model(inputs_embeds=features, return_dict=True)
        if "start_logits" in output:
            return torch.stack([output.start_logits, output.end_logits], dim=-1)
        logits: Tensor = output.logits
        return logits

    @torch.no_grad()
    def reads_pooler(self) -> bool:
        """Whether the class reads ``pooler_output`` instead of the first token's state."""
        self._replace_base(HandsOn(pooler_factor=torch.nan))
        logits = self(torch.zeros(1, self.hidden_size))
        self._replace_base(HandsOn())
        return bool(logits.isnan().any())

    def _replace_base(self, base: nn.Module) -> None:
        setattr(self.model, self.model.base_model_prefix, base)


class HandsOn(nn.Module):
    """Stands in for a base model: the embeddings it is given are its token states.

    Args:
        pooler_factor: Of the first token's state, to give ``pooler_output``.
    """

    def __init__(self, *, pooler_factor: float = 1.0) -> None:
        super().__init__()
        self.pooler_factor = pooler_factor

    def forward(self, *_: object, inputs_embeds: Tensor, **__: object) -> BaseModelOutputWithPooling:
        """Token states ``(num_sequences, seq_len, hidden_size)``, pooled ``(num_sequences, hidden_size)``."""
        pooled = inputs_embeds[:, 0] * self.pooler_factor
        return BaseModelOutputWithPooling(last_hidden_state=inputs_embeds, pooler_output=pooled)


def find_class(class_name: str) -> Any:  # noqa: ANN401 - transformers is untyped
    """A model class of transformers with a head, or an ``AutoModelFor…``.

    Raises:
        ValueError: If there is none of that name; names some that there are.
    """
    found = getattr(transformers, class_name, None)
    is_model = isinstance(found, type) and issubclass(found, PreTrainedModel)
    if "For" in class_name and (is_model or hasattr(found, "_model_mapping")):
        return found
    heads = [name for name in dir(transformers) if "For" in name and not name.startswith("TF")]
    close = difflib.get_close_matches(class_name, heads, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise ValueError(f"transformers has no class with a head named {class_name!r}; {hint}Usual ones: "
                     f"{', '.join(AUTO_CLASSES)}")  # fmt: skip


def _class_of_family(class_name: str, config: PretrainedConfig) -> type[nn.Module]:
    found = find_class(class_name)
    if hasattr(found, "_model_mapping"):
        if type(config) not in found._model_mapping:
            raise ValueError(f"{class_name} has no head for encoders of family {config.model_type!r}")
        of_family: type[nn.Module] = found._model_mapping[type(config)]
        return of_family
    if not isinstance(config, found.config_class):
        raise ValueError(
            f"{class_name} is of family {found.config_class.model_type!r}, but the encoder is of "
            f"{config.model_type!r}; an AutoModelFor… class finds the right one"
        )
    concrete: type[nn.Module] = found
    return concrete


def _configure(config: PretrainedConfig, num_outputs: int, parameters: Mapping[str, Any]) -> PretrainedConfig:
    """The encoder's configuration for a head: with a base model as small as it can be, as it is replaced."""
    unknown = [name for name in parameters if not hasattr(config, name)]
    if unknown:
        known = ", ".join(
            sorted(name for name in config.to_dict() if "dropout" in name or "classifier" in name)
        )
        raise ValueError(
            f"the configuration of family {config.model_type!r} has no {', '.join(unknown)}; of a head "
            f"it has {known}"
        )
    decided = [name for name in parameters if name in DECIDED_ELSEWHERE]
    if decided:
        raise ValueError(f"{', '.join(decided)}: the encoder and the task decide; leave it out")
    configured = copy.deepcopy(config)
    configured.num_hidden_layers = 1
    configured.vocab_size = (config.pad_token_id or 0) + 1
    configured.num_labels = num_outputs
    for name, value in parameters.items():
        setattr(configured, name, value)
    return configured
