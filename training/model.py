"""The multitask model ``F_i(x) = H_i(S_i(E(x)))``: an encoder, what tasks share above it, a head each."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from training.batches import Batch
from training.encoding import LAST_HIDDEN_STATE, Encoder
from training.encoding_store import EncodingStore
from training.schedules.depth import freeze_lowest
from training.sharing import SharedPath, SharingLayer, users_of


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """A task's head and the pooling it reads.

    Attributes:
        head: A module as ``training.heads.Head`` describes.
        pooling: One of ``training.pooling.POOLINGS``; None for a head over token states.
    """

    head: nn.Module
    pooling: str | None


class MultitaskModel(nn.Module):
    """Encodes a batch once and applies one task's head.

    Args:
        encoder: Shared by all tasks.
        heads: By task name.
        train_encoder: False keeps the encoder's weights, and its dropout off.
        frozen_layers: Lowest layers of a trained encoder that keep their weights, with the embeddings below
            them; 0 trains all.
        sharing: Between the encoder and the heads of the tasks that it names, if given.

    Attributes:
        store: Of a frozen encoder, outputs that need no computing any more; None unless it is filled.
    """

    def __init__(
        self,
        encoder: Encoder,
        heads: Mapping[str, HeadSpec],
        *,
        train_encoder: bool,
        frozen_layers: int = 0,
        sharing: SharingLayer | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.heads = nn.ModuleDict({name: spec.head for name, spec in heads.items()})
        self.poolings = {name: spec.pooling for name, spec in heads.items()}
        self.sharing = sharing
        self._users = users_of(sharing, in_features=encoder.hidden_size) if sharing is not None else {}
        self.store: EncodingStore | None = None
        self.train_encoder = train_encoder
        self.encoder.requires_grad_(train_encoder)
        if train_encoder and frozen_layers:
            freeze_lowest(self.encoder, frozen_layers)

    def train(self, mode: bool = True) -> "MultitaskModel":
        """Switch dropout on or off; a frozen encoder always stays in evaluation mode."""
        super().train(mode)
        if not self.train_encoder:
            self.encoder.eval()
        return self

    def forward(self, task: str, batch: Batch) -> Tensor:
        """Logits of one task.

        Args:
            task: Its name.
            batch: Its rows say which sequences a sequence-level head reads together.

        Returns:
            Shape ``(num_rows, num_outputs)``; of a token-level head
            ``(num_sequences, seq_len, num_outputs)``.
        """
        head, pooling = self.path(task), self.poolings[task]
        found = self._read(batch, self.reading_of(task))
        named = {LAST_HIDDEN_STATE: found, "segment_ids": batch.segment_ids}
        if pooling is not None:
            # index_select and not found[rows]: the gradient of a sequence that many rows read is summed in
            # one order, so that a resumed run repeats it to the last bit.
            read = [found.index_select(0, column) for column in batch.rows.unbind(dim=1)]
            named |= dict(zip(("pooled",) if len(read) == 1 else ("pooled_a", "pooled_b"), read, strict=True))
        logits: Tensor = head(*(named[name] for name in head.input_names))  # type: ignore[union-attr]
        return logits

    def path(self, task: str) -> nn.Module:
        """From the encoder's output to a task's logits: its head, behind the sharing layer if it shares."""
        head = self.heads[task]
        if self.sharing is None or task not in self.sharing.tasks:
            return head
        return SharedPath(self.sharing, task, head)

    def describe_shared(self, task: str) -> str | None:
        """A task's path through the sharing layer, for people; None for one that does not share."""
        if self.sharing is None or task not in self.sharing.tasks:
            return None
        return self.sharing.describe(task)

    @property
    def users(self) -> dict[nn.Parameter, frozenset[str]]:
        """Which tasks use each parameter, but for the encoder's, which all do."""
        found = {p: frozenset({name}) for name, head in self.heads.items() for p in head.parameters()}
        named = self.sharing.named_parameters() if self.sharing is not None else ()
        return found | {parameter: self._users[name] for name, parameter in named}

    @property
    def shared_parameters(self) -> list[nn.Parameter]:
        """Trainable ones that are not one task's own."""
        users = self.users
        return [p for p in self.parameters() if p.requires_grad and (p not in users or len(users[p]) > 1)]

    @property
    def num_trained(self) -> int:
        """Numbers that training may change."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)

    @property
    def own_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Parameters that one task alone uses, by task."""
        users = self.users
        return {task: [p for p, tasks in users.items() if tasks == {task}] for task in self.heads}

    def penalty(self) -> Tensor | None:
        """What the sharing layer adds to the loss of every step, whatever its tasks; a scalar, or None."""
        return self.sharing.penalty() if self.sharing is not None else None

    def embed(self, batch: Batch, pooling: str) -> Tensor:
        """Pooled vectors of the batch's sequences. Shape ``(num_sequences, hidden_size)``."""
        return self._read(batch, pooling)

    def reading_of(self, task: str) -> str:
        """What a task's head reads of the encoder: a pooling, or ``LAST_HIDDEN_STATE``."""
        return self.poolings[task] or LAST_HIDDEN_STATE

    def _read(self, batch: Batch, reading: str) -> Tensor:
        stored = self.store.read(batch, reading) if self.store is not None else None
        return stored if stored is not None else self.encoder.read(batch, [reading])[reading]
