"""The YAML file's schema of further pre-training."""

from typing import Annotated, Literal

from pydantic import Field

from training.config.section import Section


class PretrainingConfig(Section):
    """Masked language modelling on the tasks' train texts, before the tasks are learnt."""

    epochs: float = Field(default=1.0, gt=0)
    steps: int | None = Field(default=None, gt=0)
    """Overrides ``epochs``."""
    batch_size: int = Field(default=32, gt=0)
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-5
    weight_decay: float = Field(default=0.01, ge=0)
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    mask_share: float = Field(default=0.15, gt=0, lt=1)
    """Of the tokens, or of the words."""
    whole_word: bool = False
    """Whether a word's tokens are hidden together."""
    held_out: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the texts, 500 at most, whose loss is reported and that are not learnt from."""
    save_every: int | None = Field(default=None, gt=0)
    """Steps between checkpoints; a tenth of the run."""
