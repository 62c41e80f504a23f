"""Further pre-training of an encoder on texts without labels, by masked language modelling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import AutoConfig, AutoModelForMaskedLM, PretrainedConfig

from training.batches import ExampleStream
from training.encoder import family_of, quiet_transformers
from training.errors import WeightsError
from training.masking import MaskableText, MaskedBatch, Masking
from training.seeding import seeded
from training.state import RandomState, Stateful, load_state, save_state
from training.weights import locate_weights

STREAM = "pretraining"


def load_masked_lm(model: str) -> Any:  # noqa: ANN401 - transformers is untyped
    """An encoder under its family's masked-LM head; the head starts random where the weights have none.

    Raises:
        WeightsError: If the weights cannot be loaded, or their family has no such head.
    """
    folder = locate_weights(model)
    with quiet_transformers():
        try:
            config = AutoConfig.from_pretrained(folder)
            family_of(config)
            check_has_head(config)
            masked_lm, loading = AutoModelForMaskedLM.from_pretrained(
                folder, config=config, dtype=torch.float32, output_loading_info=True
            )
        except (OSError, ValueError) as error:
            raise WeightsError(f"Encoder {model!r} cannot be loaded: {error}") from error
    # transformers leaves the bias of a missing data2vec head as the memory was: now and then not finite.
    for name, parameter in masked_lm.named_parameters():
        if name in loading["missing_keys"] and name.endswith("bias"):
            nn.init.zeros_(parameter)
    return masked_lm


def check_has_head(config: PretrainedConfig) -> None:
    """Refuse a family without a masked-LM head.

    Raises:
        WeightsError: Naming the family.
    """
    if type(config) not in AutoModelForMaskedLM._model_mapping:
        raise WeightsError(
            f"transformers has no masked-LM head for encoders of family {config.model_type!r}: they cannot "
            "be pre-trained further on texts alone."
        )


def take_back(backbone: nn.Module, masked_lm: Any) -> None:  # noqa: ANN401 - transformers is untyped
    """Give an encoder the weights that it has under a masked-LM head.

    Args:
        backbone: Keeps what the masked-LM model does without: a pooler.
        masked_lm: Of the same family.

    Raises:
        WeightsError: If its encoder is another one.
    """
    missing, unexpected = backbone.load_state_dict(masked_lm.base_model.state_dict(), strict=False)
    if unexpected or any("pooler" not in name for name in missing):
        odd = ", ".join([*unexpected, *missing])
        raise WeightsError(f"Under its masked-LM head the encoder has other weights: {odd}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainingSettings:
    """Numbers of the loop.

    Attributes:
        steps: Optimizer steps.
        batch_size: Texts a step.
        save_every: Steps between evaluations, each followed by a checkpoint.
        max_grad_norm: Clips the gradient.
        seed: Of the whole run.
    """

    steps: int
    batch_size: int
    save_every: int
    max_grad_norm: float
    seed: int


class Pretrainer:
    """Trains a masked-LM model on texts.

    Args:
        model: Of transformers, on its device.
        texts: To learn from.
        held_out: Their loss, always with the same tokens hidden, is reported.
        masking: Hides tokens.
        optimizer: Of the model.
        schedule: Stepped once a step.
        settings: Numbers of the loop.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        texts: Sequence[MaskableText],
        held_out: Sequence[MaskableText],
        masking: Masking,
        optimizer: Optimizer,
        schedule: LRScheduler,
        settings: PretrainingSettings,
    ) -> None:
        self.model = model
        self.settings = settings
        self.step = 0
        self._texts = texts
        self._held_out = held_out
        self._masking = masking
        self._optimizer = optimizer
        self._schedule = schedule
        lengths = np.array([len(text.input_ids) for text in texts])
        self._stream = ExampleStream(STREAM, lengths, batch_size=settings.batch_size, seed=settings.seed)

    def fit(self, on_step: Callable[[float], None], save: Callable[[float], None]) -> None:
        """Train until the last step.

        Args:
            on_step: Told each step's loss.
            save: Told the loss of the texts held out, every so many steps.
        """
        self.model.train()
        while self.step < self.settings.steps:
            loss = self._loss(self._masking.collate([self._texts[i] for i in self._stream.next()]))
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.max_grad_norm)
            self._optimizer.step()
            self._schedule.step()
            self._optimizer.zero_grad()
            self.step += 1
            on_step(loss.item())
            if self.step % self.settings.save_every == 0 or self.step == self.settings.steps:
                save(self.held_out_loss())

    @torch.inference_mode()
    def held_out_loss(self) -> float:
        """Mean over the batches of texts held out; not a number if there are none."""
        self.model.eval()
        size = self.settings.batch_size
        with seeded(self.settings.seed):
            losses = [
                float(self._loss(self._masking.collate(self._held_out[start : start + size])))
                for start in range(0, len(self._held_out), size)
            ]
        self.model.train()
        return float(np.mean(losses)) if losses else float("nan")

    def save_state(self, file: Path) -> None:
        """Save everything that resuming needs, the weights among it."""
        save_state(file, self._parts(), step=self.step)

    def load_state(self, file: Path) -> None:
        """Continue from a saved place."""
        self.step = load_state(file, self._parts())

    def _loss(self, batch: MaskedBatch) -> Tensor:
        device = next(self.model.parameters()).device
        loss: Tensor = self.model(
            input_ids=batch.input_ids.to(device),
            attention_mask=batch.attention_mask.to(device),
            labels=batch.labels.to(device),
        ).loss
        return loss

    def _parts(self) -> dict[str, Stateful]:
        return {
            "model": self.model,
            "optimizer": self._optimizer,
            "schedule": self._schedule,
            "stream": self._stream,
            "random": RandomState(),
        }
